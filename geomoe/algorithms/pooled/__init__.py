"""Methods with one objective over the pooled samples: ERM, and changes to its inputs, steps or weights."""
