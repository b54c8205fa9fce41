"""Fuzzes cutting files out of an opened body."""

import atheris

with atheris.instrument_imports(include=["tipbox"]):
    from tipbox.formats.envelopes.body import split_files

from harness import run


def target(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    sizes = [provider.ConsumeIntInRange(0, 40) for _ in range(provider.ConsumeIntInRange(0, 6))]
    step = provider.ConsumeIntInRange(1, 50)
    body = provider.ConsumeBytes(provider.remaining_bytes())
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    files = [b""] * len(sizes)
    for index, piece in split_files(pieces, sizes):
        files[index] += piece
    joined = b"".join(files)
    assert body == joined + bytes(len(body) - len(joined))
    assert all(len(file) <= size for file, size in zip(files, sizes, strict=True))


run(target, [bytes(60), bytes(range(100))])
