"""ZIP archives of documents, read within bounds: a few bytes can stand for gigabytes."""

import io
import zipfile
import zlib

from edge_qa.errors import InputError

_MEBIBYTE = 2**20
MOST_MEMBERS = 20_000
# Of one member, and of all that are read; a bomb is known by its size, whatever its header says.
MEMBER_BYTES, ALL_BYTES = 64 * _MEBIBYTE, 256 * _MEBIBYTE


class Archive:
    """The members of a ZIP archive by name."""

    def __init__(self, data: bytes) -> None:
        """Raises InputError if the bytes are no archive, or one of too many members."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
            raise InputError(f"is no ZIP archive, or damaged ({error})") from None
        if len(self._zip.filelist) > MOST_MEMBERS:
            raise InputError(f"has {len(self._zip.filelist)} members, more than {MOST_MEMBERS}")
        self._left = ALL_BYTES

    def names(self) -> list[str]:
        """Return the names of all members."""
        return self._zip.namelist()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        """Return a member. Raises InputError if it is not there, damaged, encrypted or too large."""
        most = min(MEMBER_BYTES, self._left)
        try:
            with self._zip.open(name) as member:
                data = member.read(most + 1)
        except KeyError:
            raise InputError(f"has no {name}, so it is no document of this kind, or damaged") from None
        except RuntimeError:  # what zipfile raises for a password
            raise InputError("is encrypted") from None
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError) as error:
            raise InputError(f"is damaged in {name} ({error})") from None
        if len(data) > most:
            raise InputError(f"unpacks to more than {most // _MEBIBYTE} MiB in {name}")
        self._left -= len(data)
        return data
