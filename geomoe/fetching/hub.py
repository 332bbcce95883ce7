"""Find a file of a data set on the Hugging Face hub by its hash.

huggingface_hub lists the repository and handles access. :mod:`geomoe.fetching.transfer` transfers the bytes,
because version 1 of huggingface_hub does not resume the download of an earlier process.
"""

from __future__ import annotations

from geomoe.errors import DownloadError, one_line
from geomoe.fetching.digests import Digest
from geomoe.fetching.transfer import TIMEOUT, Remote


def find_on_hub(repository: str, digest: Digest) -> Remote:
    """Find the file of a hub data set repository that has a sha256, and its download address.

    Args:
        repository: ``owner/name``.
        digest: sha256, which the hub stores for every large file.

    Raises:
        DownloadError: the hub cannot be reached, or has no such file.
    """
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    hub = HfApi()
    where = f"{hub.endpoint}/datasets/{repository}"
    try:
        info = hub.dataset_info(repository, files_metadata=True, timeout=TIMEOUT)
    except Exception as error:  # the HTTP library depends on the version of huggingface_hub
        advice = "check the network, or give another source with --url"
        raise DownloadError(f"{where}: the hub cannot be asked ({one_line(error)}); {advice}") from error
    files = {file.lfs.sha256: file for file in info.siblings or [] if file.lfs is not None}
    if digest.value not in files:
        names = ", ".join(file.rfilename for file in files.values()) or "no large file at all"
        raise DownloadError(
            f"{where}: no file with {digest} is there any more (there is: {names}); another source of the "
            "same file can be given with --url"
        )
    found = files[digest.value]
    # A commit instead of main, so that the file cannot change. The token is only sent to the hub.
    url = hf_hub_url(
        repository, found.rfilename, repo_type="dataset", revision=info.sha, endpoint=hub.endpoint
    )
    headers = build_hf_headers(library_name="geomoe")
    secret = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    return Remote(url, found.lfs.size if found.lfs else None, secret)
