"""All that an HDF5 file says, as plain values: two files that say the same are equal, however their data are stored."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5o, h5p


def described(path: str) -> dict[str, Any]:
    """Every link, object, attribute, type, value and reference of a file; references by the name of their target."""
    with h5py.File(path) as file:
        names: dict[int, str] = {}
        found = {"/": _object(file, file["/"], names)}
        for name, kind, item in _links(file["/"], ""):
            found[name] = (kind, _object(file, item, names, name) if kind == "hard" else item)
        with open(path, "rb") as raw:
            found["user block"] = raw.read(file.userblock_size)
        return found


def _links(group: h5py.Group, start: str) -> Iterator[tuple[str, str, Any]]:
    """Links below a group, in the order that the group knows."""
    for name in group:
        path = f"{start}/{name}"
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            yield path, "soft", link.path
        elif isinstance(link, h5py.ExternalLink):
            yield path, "external", (link.filename, link.path)
        else:
            yield path, "hard", group[name]
            if isinstance(group[name], h5py.Group):
                yield from _links(group[name], path)


def _object(file: h5py.File, item: Any, names: dict[int, str], path: str = "/") -> Any:
    address = h5o.get_info(item.id).addr
    if address in names:
        return f"the same as {names[address]}"
    names[address] = path
    attributes = [_attribute(file, item, name) for name in _attribute_names(item)]
    if isinstance(item, h5py.Dataset):
        return attributes, _dataset(file, item)
    if isinstance(item, h5py.Group):
        order = item.id.get_create_plist().get_link_creation_order()
        kinds = [(name, item.id.links.get_info(name.encode()).cset) for name in item]
        return attributes, order, kinds if order else sorted(kinds)
    return attributes, str(item.dtype)


def _attribute_names(item: Any) -> list[str]:
    is_ordered = isinstance(item, h5py.Dataset) and item.id.get_create_plist().get_attr_creation_order()
    order = h5py.h5.INDEX_CRT_ORDER if is_ordered else h5py.h5.INDEX_NAME
    count = h5a.get_num_attrs(item.id)
    return [h5a.open(item.id, index=number, index_type=order).name.decode() for number in range(count)]


def _attribute(file: h5py.File, item: Any, name: str) -> Any:
    attribute = h5a.open(item.id, name.encode())
    tid = attribute.get_type()
    kind = (tid.get_class(), tid.get_size(), tid.committed(), attribute.get_space().get_simple_extent_type())
    cset = attribute.get_create_plist().get_char_encoding() if hasattr(attribute, "get_create_plist") else 0
    if not attribute.get_space().get_simple_extent_npoints():
        return name, kind, cset, str(tid.dtype), attribute.shape
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    return name, kind, cset, str(attribute.dtype), attribute.shape, _plain(file, values, attribute.dtype)


def _dataset(file: h5py.File, item: h5py.Dataset) -> Any:
    plist = item.id.get_create_plist()
    tid = item.id.get_type()
    fill = (plist.fill_value_defined(), plist.get_fill_time(), repr(item.fillvalue))
    facts = (str(item.dtype), tid.committed(), item.shape, item.maxshape, fill, _virtual(plist))
    values = None if item.shape is None else _plain(file, np.asarray(item[()]), item.dtype)
    return facts, _scales(item), values


def _scales(item: h5py.Dataset) -> Any:
    try:
        return [[scale.name for scale in axis.values()] for axis in item.dims] if item.shape else []
    except RuntimeError:
        return "broken"


def _virtual(plist: h5p.PropDCID) -> Any:
    if plist.get_layout() != h5d.VIRTUAL:
        return [plist.get_external(number) for number in range(plist.get_external_count())]
    return [plist.get_virtual_filename(number) for number in range(plist.get_virtual_count())]


def _plain(file: h5py.File, values: Any, dtype: np.dtype[Any]) -> Any:
    """Bytes where that is all; references as names."""
    if not dtype.hasobject:
        return np.ascontiguousarray(values).tobytes()
    if dtype.names:
        return [_plain(file, np.asarray(values[name], dtype[name]), dtype[name]) for name in dtype.names]
    return [_item(file, value) for value in np.asarray(values, object).ravel()]


def _is_at(kind: str, item: Any, address: int) -> bool:
    return kind == "hard" and bool(h5o.get_info(item.id).addr == address)


def _item(file: h5py.File, value: Any) -> Any:
    if isinstance(value, h5py.Reference) and value:
        try:
            address = h5o.get_info(h5py.h5r.dereference(value, file.id)).addr
        except (ValueError, KeyError):
            return "nowhere"
        # The name that HDF5 gives is any of those that lead there.
        target = min(
            (name for name, kind, item in _links(file["/"], "") if _is_at(kind, item, address)), default="/"
        )
        is_region = isinstance(value, h5py.RegionReference)
        return target, h5py.h5r.get_region(value, file.id).get_select_bounds() if is_region else None
    if isinstance(value, np.ndarray):
        return _plain(file, value, value.dtype)
    return None if isinstance(value, h5py.Reference) else value
