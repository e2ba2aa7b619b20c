#!/usr/bin/env python3
"""Cuts off what follows the last byte that a program's segments need: section headers, and on MIPS 75 KB of procedure descriptors
(.pdr) that no `strip` takes away. OpenWrt's own build does the same (CONFIG_USE_SSTRIP)."""

import struct
import sys

path = sys.argv[1]
with open(path, "rb") as file:
    data = bytearray(file.read())
assert data[:4] == b"\x7fELF", "not a program"
wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
phoff, = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)
phentsize, phnum = struct.unpack_from(order + "HH", data, 54 if wide else 42)
end = phoff + phentsize * phnum
for number in range(phnum):
    at = phoff + number * phentsize
    offset, size = (struct.unpack_from(order + form, data, at + place)[0]
                    for form, place in ((("Q", 8), ("Q", 32)) if wide else (("I", 4), ("I", 16))))
    end = max(end, offset + size)
# No section headers: their offset, number, and the index of their names.
struct.pack_into(order + ("Q" if wide else "I"), data, 40 if wide else 32, 0)
struct.pack_into(order + "HH", data, 60 if wide else 48, 0, 0)
with open(path, "wb") as file:
    file.write(data[:end])
