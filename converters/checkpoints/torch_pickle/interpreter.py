"""Interpret the pickle of a torch state dict into inert values: nothing is imported, called or built by name.

Python's own unpickler is not used, not even restricted: it was made to build anything, and its opcodes include many
ways to do so. This machine knows only the opcodes that torch.save writes for a state dict, and the globals of
torch_globals.py. It follows no value into its depth: a structure may be cyclic or a million levels deep, and costs no
more than its bytes.

Source: Lib/pickle.py and Lib/pickletools.py of CPython for the opcodes.
"""

import pickle as op  # for the names of the opcodes only
import pickletools
import struct
from dataclasses import dataclass

from converters.checkpoints.torch_pickle.archive import DAMAGED
from converters.checkpoints.torch_pickle.globals import BUILDERS, DTYPES, STORAGES, Global, Storage
from edge_qa.errors import CheckpointError

RESAVE = "re-save the checkpoint as safetensors"

# An opcode can cost a few hundred bytes of memory, so their number bounds it. A tensor takes about 40.
MAX_OPCODES = 500_000
MAX_STRING_BYTES = 65_536
MAX_GLOBAL_BYTES = 256  # each of the two lines of a global
MAX_INTEGER_BYTES = 16  # the magic number of the legacy format has ten

_OPCODE_NAMES = {known.code.encode("latin-1"): known.name for known in pickletools.opcodes}


@dataclass(frozen=True, slots=True, eq=False)
class Unpickled:
    """What one pickle holds: None, bool, int, float, str, tuple, list, dict, Global, Storage and Tensor.

    storages: every storage that the pickle names, by key. end: the offset of the byte behind the pickle.
    """

    value: object
    storages: dict[str, Storage]
    end: int


def interpret(data: bytes, start: int, where: str) -> Unpickled:
    """Return what the pickle that begins at byte `start` of `data` holds.

    where: names the file in errors. Raises CheckpointError for anything that the state dict of a
    torch checkpoint does not need, and for damage.
    """
    return _Machine(data, start, where).run()


class _Machine:
    def __init__(self, data: bytes, start: int, where: str) -> None:
        self.data = data
        self.position = start
        self.where = where
        self.stack: list[object] = []
        self.below_marks: list[list[object]] = []  # popping never crosses a mark, because it is not on the stack
        self.memo: dict[int, object] = {}
        self.storages: dict[str, Storage] = {}

    def run(self) -> Unpickled:
        for _ in range(MAX_OPCODES):
            opcode = self.take(1)
            if opcode == op.STOP:
                value = self.pop()
                if self.stack or self.below_marks:
                    raise self.damaged("leaves values behind")
                return Unpickled(value, self.storages, self.position)
            self.step(opcode)
        raise CheckpointError(f"its pickle has more than {MAX_OPCODES} opcodes", where=self.where, remedy=RESAVE)

    def step(self, opcode: bytes) -> None:
        push = self.stack.append
        match opcode:
            case op.PROTO:
                self.take(1)
            case op.FRAME:  # groups bytes for the sake of reading, and means nothing
                self.take(8)
            case op.NONE:
                push(None)
            case op.NEWTRUE:
                push(True)
            case op.NEWFALSE:
                push(False)
            case op.BININT1:
                push(self.natural(1))
            case op.BININT2:
                push(self.natural(2))
            case op.BININT:
                push(int.from_bytes(self.take(4), "little", signed=True))
            case op.LONG1:
                push(self.long(self.natural(1)))
            case op.BINFLOAT:
                push(struct.unpack(">d", self.take(8))[0])
            case op.SHORT_BINUNICODE:
                push(self.text(self.natural(1)))
            case op.BINUNICODE:
                push(self.text(self.natural(4)))
            case op.BINPUT:
                self.memo[self.natural(1)] = self.top()
            case op.LONG_BINPUT:
                self.memo[self.natural(4)] = self.top()
            case op.MEMOIZE:
                self.memo[len(self.memo)] = self.top()
            case op.BINGET:
                push(self.recall(self.natural(1)))
            case op.LONG_BINGET:
                push(self.recall(self.natural(4)))
            case op.MARK:
                self.below_marks.append(self.stack)
                self.stack = []
            case op.EMPTY_TUPLE:
                push(())
            case op.TUPLE1:
                push((self.pop(),))
            case op.TUPLE2:
                last = self.pop()
                push((self.pop(), last))
            case op.TUPLE3:
                last, middle = self.pop(), self.pop()
                push((self.pop(), middle, last))
            case op.TUPLE:
                items = tuple(self.pop_to_mark())
                self.stack.append(items)
            case op.EMPTY_LIST:
                push([])
            case op.APPEND:
                self.extend([self.pop()])
            case op.APPENDS:
                self.extend(self.pop_to_mark())
            case op.EMPTY_DICT:
                push({})
            case op.SETITEM:
                value = self.pop()
                self.update([self.pop(), value])
            case op.SETITEMS:
                self.update(self.pop_to_mark())
            case op.GLOBAL:
                module = self.line()
                push(self.allowed(f"{module}.{self.line()}"))
            case op.STACK_GLOBAL:
                name, parent = self.pop(), self.pop()
                if type(name) is not str or type(parent) is not str:
                    raise self.damaged("names a global by something other than two strings")
                push(self.allowed(f"{parent}.{name}"))
            case op.BINPERSID:
                push(self.storage(self.pop()))
            case op.REDUCE:
                arguments = self.pop()
                push(self.reduce(self.pop(), arguments))
            case op.BUILD:
                # torch hangs `_metadata` (version numbers of modules) on the OrderedDict; no tensor depends on it.
                self.pop()
                if type(self.top()) is not dict:
                    raise self.refused(f"sets attributes on a {type(self.top()).__name__}")
            case _:
                raise self.refused(f"uses the pickle opcode {_OPCODE_NAMES.get(opcode, opcode)}")

    # Bytes

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) < count:
            raise self.damaged("ends early")
        self.position += count
        return chunk

    def natural(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def long(self, width: int) -> int:
        if width > MAX_INTEGER_BYTES:
            raise self.refused(f"holds an integer of {width} bytes (at most {MAX_INTEGER_BYTES} are read)")
        return int.from_bytes(self.take(width), "little", signed=True)

    def text(self, width: int) -> str:
        if width > MAX_STRING_BYTES:
            raise self.refused(f"holds a string of {width} bytes (at most {MAX_STRING_BYTES} are read)")
        try:
            return self.take(width).decode()
        except UnicodeDecodeError:
            raise self.damaged("holds a string that is not UTF-8") from None

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + MAX_GLOBAL_BYTES + 1)
        if end < 0:
            raise self.damaged(f"names a global without an end, or of more than {MAX_GLOBAL_BYTES} bytes")
        text = self.text(end - self.position)
        self.position += 1
        return text

    # Stack and memo

    def pop(self) -> object:
        self.top()
        return self.stack.pop()

    def top(self) -> object:
        if not self.stack:
            raise self.damaged("takes a value from an empty stack")
        return self.stack[-1]

    def pop_to_mark(self) -> list[object]:
        if not self.below_marks:
            raise self.damaged("ends a group that was not begun")
        items, self.stack = self.stack, self.below_marks.pop()
        return items

    def recall(self, index: int) -> object:
        if index not in self.memo:
            raise self.damaged(f"refers to value {index}, which was not stored")
        return self.memo[index]

    # Containers

    def extend(self, items: list[object]) -> None:
        target = self.top()
        if type(target) is not list:
            raise self.damaged(f"appends to a {type(target).__name__}")
        target.extend(items)

    def update(self, items: list[object]) -> None:
        target = self.top()
        if type(target) is not dict or len(items) % 2:
            raise self.damaged(f"sets unpaired items, or items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing a deep tuple overflows the C stack, and large integers can be made to collide without end.
            if type(key) is not str and not (type(key) is int and abs(key) < 2**32):
                raise self.refused(f"has a {type(key).__name__} as the key of an entry (wanted a string)")
            target[key] = value

    # The three things that would execute something in a real unpickler, and here do not

    def allowed(self, name: str) -> Global:
        if name not in BUILDERS and name not in STORAGES and name not in DTYPES:
            raise CheckpointError(
                f"wants the global {name!r}, which is not one that a state dict needs; nothing was executed",
                where=self.where,
                remedy=RESAVE,
            )
        return Global(name)

    def storage(self, pid: object) -> Storage:
        match pid:
            case ("storage", Global(name=name), str(key), str(), int(elements), *rest):
                pass
            case _:
                raise self.refused("refers to something that is not a storage")
        if rest not in ([], [None]):  # the legacy format has a sixth member
            raise self.refused("has a storage that is a view of another one")
        if name not in STORAGES or type(elements) is not int or elements < 0:
            raise self.refused(f"has a storage of type {name} with {elements} elements")
        storage = Storage(key, STORAGES[name], elements)
        if self.storages.setdefault(key, storage) != storage:
            raise self.refused(f"describes storage {key!r:.40} in two ways")
        return storage

    def reduce(self, function: object, arguments: object) -> object:
        builder = BUILDERS.get(function.name) if type(function) is Global else None
        if builder is None or type(function) is not Global or type(arguments) is not tuple:
            raise self.refused("calls something that builds no tensor")
        try:
            return builder(*arguments)
        except (ValueError, TypeError) as error:  # TypeError: another number of arguments
            raise self.refused(f"calls {function.name} with unusable arguments ({error})") from None

    # Errors

    def damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"its pickle {what} at byte {self.position}", where=self.where, remedy=DAMAGED)

    def refused(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"its pickle {what} at byte {self.position}, which no state dict needs; nothing was executed",
            where=self.where,
            remedy=RESAVE,
        )
