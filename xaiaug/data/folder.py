"""Scans a folder of images: split/class/image or class/image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import DataError
from .decode import Decoder
from .entries import ListedFile, Scan, has_image_suffix, leads_outside, to_entries
from .label_names import find_masks, normalise_label, warn_of_variants

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "guide": "guide",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "reserve": "reserve",
}
# What operating systems, file managers and tools leave behind, in lower case.
_RUBBISH_FOLDERS = {
    *("__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information", "lost+found", ".appledouble"),
    *(".spotlight-v100", ".fseventsd", ".temporaryitems", ".trashes", ".trash", ".thumbnails", ".picasaoriginals"),
    *(".ipynb_checkpoints", ".git", ".svn", ".hg", ".dvc", ".idea", ".vscode", ".cache", ".comments"),
}
_RUBBISH_FILES = {
    *(
        ".ds_store",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "icon\r",
        ".directory",
        ".localized",
    ),
    *(".picasa.ini", ".nomedia", ".gitkeep", ".keep", ".gitignore", ".gitattributes", ".dvcignore"),
}
_RUBBISH_STARTS = ("._", ".trashed-", ".pending-", ".fuse_hidden", ".nfs0", "~$")
# What may hold images or labels, and is read by nobody here.
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_TABLES = (".csv", ".tsv", ".jsonl", ".json", ".xlsx", ".xls", ".ods", ".parquet")
_SHOWN = 5
_LAYOUTS = "expected split/class/image (train/cat/1.jpg) or class/image (cat/1.jpg)"


@dataclass(frozen=True)
class _Listing:
    """The direct contents of a folder without known rubbish; names sorted."""

    path: str
    folders: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(name for name in self.files if has_image_suffix(name))

    def describe_others(self) -> str:
        """How many files of each ending are no images."""
        others = Counter(PurePath(name).suffix.lower() for name in self.files if not has_image_suffix(name))
        counts = [f"{count} {suffix or 'without an ending'}" for suffix, count in others.most_common(_SHOWN)]
        more = f" and {len(others) - _SHOWN} more endings" if len(others) > _SHOWN else ""
        return ", ".join(counts)[:200] + more


def scan_folder(folder: str | Path, decoder: Decoder) -> Scan:
    """All images of a folder, with the split of each where the folder has splits.

    Raises:
        DataError: the folder is missing or empty, or its layout is unclear.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {problem}; {_LAYOUTS}")
    root = root.resolve()
    top = _list(root, root)
    splits = _find_split_folders(root, top)
    # Each class folder, with the split it belongs to.
    classes = [(None, name) for name in top.folders] if splits is None else _list_classes(root, splits)
    notes = list(_note_ignored(top, has_splits=splits is not None))
    for name in (splits or {}).values():
        notes += _note_archives_and_tables(_list(root / name, root), f"{name}/")
    files: list[ListedFile] = []
    labels: set[str] = set()
    for split, name in classes:
        listing = _list(root / name, root)
        _check_depth(root, listing)
        _refuse_masks(root, name, listing)
        notes += _note_class(name, listing)
        if listing.images or not _is_hidden(name):
            labels.add(normalise_label(PurePath(name).name))
            files += _list_images(name, listing, split)
    entries, unusable = to_entries(files, root, decoder)
    notes += warn_of_variants(labels)
    return Scan(tuple(sorted(labels)), entries, tuple(splits or ()), unusable, tuple(notes))


def _list_images(name: str, listing: _Listing, split: str | None) -> list[ListedFile]:
    label = normalise_label(PurePath(name).name)
    return [
        ListedFile(path=f"{listing.path}/{file}", name=f"{name}/{file}", label=label, split=split)
        for file in listing.images
    ]


def _note_ignored(top: _Listing, *, has_splits: bool) -> Iterator[str]:
    """What is ignored in the root."""
    if top.images:
        yield f"ignored {len(top.images)} images outside the class folders, such as {top.images[0]}"
    yield from _note_archives_and_tables(top)
    if has_splits:
        yield from (f"{name}: ignored a hidden folder" for name in top.folders if _is_hidden(name))


def _note_archives_and_tables(listing: _Listing, prefix: str = "") -> Iterator[str]:
    """What lies beside the class folders and looks as if images or labels were in it."""
    for endings, advice in (
        (_ARCHIVES, "archives are not unpacked"),
        (_TABLES, "labels are those of the folders (Splits.from_manifest reads tables)"),
    ):
        names = [prefix + name for name in listing.files if name.lower().endswith(endings)]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"ignored {', '.join(names[:_SHOWN])[:300]}{more}: {advice}"


def _note_class(name: str, listing: _Listing) -> Iterator[str]:
    """What is unusual in a class folder."""
    if _is_hidden(name):
        yield f"{name}: {'a hidden folder is a class' if listing.images else 'ignored a hidden folder without images'}"
    other = len(listing.files) - len(listing.images)
    if other:
        yield f"{name}: ignored {other} files that are not images ({listing.describe_others()})"


def _refuse_masks(root: Path, name: str, listing: _Listing) -> None:
    masks = find_masks(listing.images)
    if masks:
        mask, image = masks[0]
        raise DataError(
            f"data folder {root}: {name} holds {len(masks)} files that are named like masks of its images, such as "
            f"{mask} beside {image}. Move masks elsewhere, or list the images in a table (Splits.from_manifest)"
        )


def _is_hidden(name: str) -> bool:
    return PurePath(name).name.startswith(".")


def _find_split_folders(root: Path, top: _Listing) -> dict[str, str] | None:
    """The folder of each split; None where the folders are classes.

    A class may be named "train", so the layout is recognised by what the folders contain.
    """
    if not top.folders:
        found = f"{len(top.images)} images directly inside" if top.images else "no folders"
        notes = "".join(f"; {note}" for note in _note_archives_and_tables(top))
        raise DataError(f"data folder {root}: {_LAYOUTS}, found {found}{notes}")
    inside = {name: _list(root / name, root) for name in top.folders}
    splits = [name for name, listing in inside.items() if listing.folders and name.lower() in SPLIT_FOLDERS]
    if not splits:
        return None
    mixed = [name for name in splits if inside[name].images]
    if mixed:
        raise DataError(f"data folder {root}: {', '.join(mixed)} holds both folders and images; {_LAYOUTS}")
    visible = [name for name in inside if name not in splits and not _is_hidden(name)]
    others = [name for name in visible if inside[name].images or inside[name].folders]
    if others:
        raise DataError(
            f"data folder {root}: {', '.join(splits)} hold class folders, but {', '.join(others)} "
            f"{'are not splits' if len(others) > 1 else 'is not a split'} with class folders; splits are "
            f"{', '.join(SPLIT_FOLDERS)}. Move other folders elsewhere"
        )
    return _map_splits_to_folders(root, splits)


def _map_splits_to_folders(root: Path, names: Sequence[str]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for name in names:
        split = SPLIT_FOLDERS[name.lower()]
        if split in folders:
            raise DataError(f"data folder {root}: {folders[split]} and {name} are both the split {split}; keep one")
        folders[split] = name
    if "train" not in folders:
        raise DataError(f"data folder {root}: found {', '.join(names)}, but no folder train")
    return folders


def _list_classes(root: Path, splits: dict[str, str]) -> list[tuple[str | None, str]]:
    return [
        (split, f"{folder}/{name}") for split, folder in splits.items() for name in _list(root / folder, root).folders
    ]


def _check_depth(root: Path, listing: _Listing) -> None:
    for name in listing.folders:
        deeper = _list(Path(listing.path) / name, root)
        if deeper.images or deeper.folders:
            where = Path(deeper.path).relative_to(root)
            raise DataError(
                f"data folder {root}: {_LAYOUTS}, found deeper folders: {where}. Give the folder that holds the split "
                f"or class folders; splits are named {', '.join(SPLIT_FOLDERS)}"
            )


def _list(folder: Path, root: Path) -> _Listing:
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = _is_folder(entry)
                if _is_rubbish(entry.name.lower(), is_folder):
                    continue
                if is_folder and entry.is_symlink() and leads_outside(entry.path, root):
                    raise DataError(f"data folder {root}: {entry.path} is a symlink to a folder outside it")
                (folders if is_folder else files).append(entry.name)
    except OSError as error:
        raise DataError(
            f"data folder {root}: the folder {folder} cannot be read ({error.strerror}); make it readable, or move it "
            "elsewhere"
        ) from error
    return _Listing(str(folder), tuple(sorted(folders)), tuple(sorted(files)))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, which is reported as a file that cannot be read
        return False


def _is_rubbish(name: str, is_folder: bool) -> bool:
    return name.startswith(_RUBBISH_STARTS) or name in (_RUBBISH_FOLDERS if is_folder else _RUBBISH_FILES)
