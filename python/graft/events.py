"""Event files of TensorBoard: TFRecord framing around protobuf messages, written by hand.

A record is: length (8 bytes), masked CRC-32C of it (4), the message, its masked CRC-32C (4), all
little-endian. The message is tensorflow.Event {1: wall_time double, 2: step int64,
3: file_version string, 5: summary {1: value {1: tag string, 2: simple_value float}}}.
"""
import os
import socket
import struct
import time


def _make_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _make_table()


def crc32c(content):
    """CRC-32C (Castagnoli), RFC 3720 appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(crc):
    """TFRecord's own rotation, so that a CRC of data with CRCs in it stays useful."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(message):
    length = struct.pack("<Q", len(message))
    return (length + struct.pack("<I", masked(crc32c(length))) + message +
            struct.pack("<I", masked(crc32c(message))))


def _varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes_field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def event(wall_time, step=0, file_version=None, scalars=()):
    """One tensorflow.Event."""
    message = _varint(1 << 3 | 1) + struct.pack("<d", wall_time)
    if step:
        message += _varint(2 << 3) + _varint(step)
    if file_version is not None:
        message += _bytes_field(3, file_version.encode())
    if scalars:
        summary = b"".join(
            _bytes_field(1, _bytes_field(1, tag.encode()) + _varint(2 << 3 | 5) +
                         struct.pack("<f", value))
            for tag, value in scalars)
        message += _bytes_field(5, summary)
    return message


class EventWriter:
    """Writes FOLDER/events.out.tfevents.TIME.HOST.PID.N."""

    _count = 0

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        now = time.time()
        name = (f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}."
                f"{EventWriter._count}.v2")
        EventWriter._count += 1
        self.path = os.path.join(folder, name)
        self._file = open(self.path, "wb")
        self._file.write(frame(event(now, file_version="brain.Event:2")))

    def scalar(self, tag, value, step):
        self._file.write(frame(event(time.time(), int(step), scalars=[(tag, float(value))])))

    def flush(self):
        self._file.flush()

    def close(self):
        self._file.close()
