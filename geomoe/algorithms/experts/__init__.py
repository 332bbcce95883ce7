"""Methods with experts and routers."""
