"""A file of a data set on the Hugging Face hub, found by its hash.

huggingface_hub says what is in a repository and who may read it. The bytes come by
:mod:`geomoe.fetching.transfer`: version 1 of that package does not take up what an earlier process began.
"""

from __future__ import annotations

from geomoe.errors import DownloadError, one_line
from geomoe.fetching.digests import Digest
from geomoe.fetching.transfer import TIMEOUT, Remote


def find_on_hub(repository: str, digest: Digest) -> Remote:
    """Ask the hub which file of a data set repository has a sha256, and where its bytes are.

    Args:
        repository: ``owner/name``.
        digest: sha256, which the hub knows of every large file.

    Raises:
        DownloadError: the hub cannot be asked, or has no such file.
    """
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    hub = HfApi()
    where = f"{hub.endpoint}/datasets/{repository}"
    try:
        info = hub.dataset_info(repository, files_metadata=True, timeout=TIMEOUT)
    except Exception as error:  # of two libraries for HTTP, by the version of huggingface_hub
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
    # The commit, not main: the file cannot change under our hands. The token is for the hub alone.
    url = hf_hub_url(
        repository, found.rfilename, repo_type="dataset", revision=info.sha, endpoint=hub.endpoint
    )
    headers = build_hf_headers(library_name="geomoe")
    secret = {name: value for name, value in headers.items() if name.lower() == "authorization"}
    return Remote(url, found.lfs.size if found.lfs else None, secret)
