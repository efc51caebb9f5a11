"""The store of variables of EDK II's firmware (OVMF), as scripts make and read it while a machine is off.

The layout is that of the UEFI Platform Initialization specification (firmware volume header) and of EDK II
(``VariableFormat.h``: store header, authenticated variables)."""

import struct
import uuid

from . import errors

_SIZE = 2 * 0x42000
_STORE_SIZE = 0x40000
_FVH_SIZE = 0x48
_FV_GUID = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
_STORE_GUID = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
_STORE_HEADER = struct.Struct("<16sIBBHI")
_FORMATTED, _HEALTHY = 0x5A, 0xFE
_VARIABLE = struct.Struct("<HBBIQ16sIII16s")
_START = 0x55AA
_FTW_AT = 0x41000
_FTW_HEADER = bytes.fromhex("2b29589e687c7d49a0ce6500fd9f1b952caf2c64feffffffe00f000000000000")


class EfiGuid:
    """Vendors of variables."""

    EFI_GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
    EFI_IMAGE_SECURITY_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
    EFI_SYSTEM_NV_DATA_FV = _FV_GUID
    EFI_AUTHENTICATED_VARIABLE = _STORE_GUID
    LOADER = uuid.UUID("4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")


class EfiVariable:
    """A variable of the firmware."""

    class Flags:
        """What it is for."""

        NON_VOLATILE = 1
        BOOTSERVICE_ACCESS = 2
        RUNTIME_ACCESS = 4
        HARDWARE_ERROR_RECORD = 8
        AUTHENTICATED_WRITE_ACCESS = 0x10
        TIME_BASED_AUTHENTICATED_WRITE_ACCESS = 0x20
        APPEND_WRITE = 0x40

    class State:
        """How far it has been written."""

        VAR_HEADER_VALID_ONLY = 0x7F
        VAR_ADDED = 0x3F

    def __init__(self, vendor_uuid=None, name=None, data=None, state=None, flags=None):
        if vendor_uuid is not None and not isinstance(vendor_uuid, uuid.UUID):
            vendor_uuid = uuid.UUID(str(vendor_uuid))
        self.vendorUUID = vendor_uuid
        self.name = name
        self.data = data
        self.state = self.State.VAR_ADDED if state is None else state
        usual = self.Flags.NON_VOLATILE | self.Flags.BOOTSERVICE_ACCESS | self.Flags.RUNTIME_ACCESS
        self.flags = usual if flags is None else flags

    def _has(self, flag):
        return bool(self.flags & flag)

    @property
    def volatile(self):
        """Whether it is lost with the power."""
        return not self._has(self.Flags.NON_VOLATILE)

    @property
    def boot_access(self):
        """Whether boot services see it."""
        return self._has(self.Flags.BOOTSERVICE_ACCESS)

    @property
    def runtime_access(self):
        """Whether the operating system sees it."""
        return self._has(self.Flags.RUNTIME_ACCESS)

    @property
    def hardware_error_record(self):
        """Whether it records a hardware error."""
        return self._has(self.Flags.HARDWARE_ERROR_RECORD)

    @property
    def authenticated_write_access(self):
        """Whether it can be written with a signature only (the old way)."""
        return self._has(self.Flags.AUTHENTICATED_WRITE_ACCESS)

    @property
    def time_based_authenticated_write_access(self):
        """Whether it can be written with a signature and a time only."""
        return self._has(self.Flags.TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

    @property
    def append_write(self):
        """Whether writing adds to it."""
        return self._has(self.Flags.APPEND_WRITE)

    def print(self):
        """Prints it."""
        print("%s: %s (flags 0x%x, state 0x%x), %d bytes: %s"
              % (self.vendorUUID, self.name, self.flags, self.state, len(self.data), self.data.hex()))

    def to_bytes(self):
        """As the store has it, padded."""
        name = (self.name + "\0").encode("utf-16-le")
        header = _VARIABLE.pack(_START, self.state, 0, self.flags, 0, bytes(16), 0, len(name), len(self.data),
                                self.vendorUUID.bytes_le)
        record = header + name + self.data
        return record + b"\xff" * (-len(record) % 4)


class Store:
    """The file with a machine's variables."""

    def __init__(self, machine):
        self._machine = machine

    def _path(self):
        if self._machine.booted:
            raise errors.RequestedAssertionFailed(
                "System is currently running and concurrent reads / writes to the OVMF variables is unsupported")
        return self._machine.efi_vars_path

    def create(self):
        """Makes it, with nothing in it."""
        path = self._path()
        if path.exists():
            raise errors.RequestedAssertionFailed("OVMF variables store exists")
        path.write_bytes(image([]))

    def write(self, variables):
        """Writes it anew."""
        self._path().write_bytes(image(variables))

    def read(self):
        """What is in it."""
        return parse(self._path().read_bytes())


def image(variables):
    """A whole store with ``variables`` in it."""
    content = b"".join(variable.to_bytes() for variable in variables)
    store = _STORE_HEADER.pack(_STORE_GUID.bytes_le, _STORE_SIZE - _FVH_SIZE, _FORMATTED, _HEALTHY, 0, 0)
    if _FVH_SIZE + len(store) + len(content) > _STORE_SIZE:
        raise ValueError("the variables do not fit into the store (%d bytes)" % len(content))
    whole = _volume_header() + store + content
    whole += b"\xff" * (_FTW_AT - len(whole)) + _FTW_HEADER
    return whole + b"\xff" * (_SIZE - len(whole))


def parse(whole):
    """The variables of a store that have been written and not been removed."""
    place = _FVH_SIZE + _STORE_HEADER.size
    if len(whole) < place or whole[_FVH_SIZE:_FVH_SIZE + 16] != _STORE_GUID.bytes_le:
        raise ValueError("this is no store of OVMF's variables")
    variables = []
    while place + _VARIABLE.size <= min(len(whole), _STORE_SIZE):
        (start, state, _, flags, _, _, _, name_size, data_size, vendor) = _VARIABLE.unpack_from(whole, place)
        if start != _START:
            break
        name_at = place + _VARIABLE.size
        data_at = name_at + name_size
        end = data_at + data_size
        if end > len(whole):
            raise ValueError("the store of OVMF's variables is cut off")
        if state == EfiVariable.State.VAR_ADDED:
            name = whole[name_at:data_at].decode("utf-16-le").rstrip("\0")
            variables.append(EfiVariable(uuid.UUID(bytes_le=vendor), name, whole[data_at:end], state, flags))
        place = end + -end % 4
    return variables


def _volume_header():
    blocks = struct.pack("<IIII", _SIZE // 0x1000, 0x1000, 0, 0)
    fields = struct.pack("<16s16sQ4sIHHHBB", bytes(16), _FV_GUID.bytes_le, _SIZE, b"_FVH", 0x4FEFF, _FVH_SIZE, 0,
                         0, 0, 2)
    header = fields + blocks
    checksum = -sum(struct.unpack("<%dH" % (len(header) // 2), header)) & 0xFFFF
    return header[:50] + struct.pack("<H", checksum) + header[52:]
