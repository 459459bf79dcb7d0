"""A child without any helper that misbehaves as its argument says, where its first parameter is above 0.7."""
import os
import signal
import struct
import sys
import time

how = sys.argv[1]
reader = os.fdopen(int(os.environ["FITJOB_READ_FD"]), "rb")
writer = os.fdopen(int(os.environ["FITJOB_WRITE_FD"]), "wb", 0)


def send(kind, body):
    writer.write(struct.pack("<II", kind, len(body)) + body)


if how == "exits-at-once":
    print("no licence found")
    sys.exit(7)
while True:
    header = reader.read(8)
    if len(header) < 8:
        break
    kind, length = struct.unpack("<II", header)
    body = reader.read(length)
    if kind == 5:
        break
    if kind == 1:
        hello = {"version": "fitjob 2\n", "names": "fitjob 1\nparameter p\nparameter q\n", "mute": ""}.get(how, "fitjob 1\n")
        if how == "refuses":
            send(4, struct.pack("<I", 0) + b"not on a Sunday")
        elif how == "text":
            writer.write(b"hello, world\n")
        elif hello:
            send(1, hello.encode())
        else:
            sys.exit(0)
        continue
    n, d = struct.unpack("<II", body[:8])
    rows, status = [], bytearray(n)
    for i in range(n):
        x = struct.unpack_from("<%dd" % d, body, 8 + 8 * d * i)
        bad = x[0] > 0.7
        value = -sum(v * v for v in x)
        if bad and how == "segfault":
            print("about to crash", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        if bad and how == "exit":
            sys.exit("out of luck")
        if bad and how == "once" and not os.path.exists(sys.argv[2]):
            open(sys.argv[2], "w").close()
            sys.exit(3)
        if bad and how == "sleep":
            print("sleeping", os.getpid(), flush=True)
            time.sleep(1e6)
        if bad and how == "garbage":
            writer.write(b"-12.5\n123456")
        if bad and how == "closes":
            writer.close()
            time.sleep(1e6)
        if bad and how == "nan":
            value = float("nan")
        if bad and how == "reject":
            status[i] = 1
            send(4, struct.pack("<I", i) + b"unphysical")
        if bad and how == "failed":
            status[i] = 2
            send(4, struct.pack("<I", i) + b"did not converge")
        if bad and how == "fatal":
            status[i] = 3
            send(4, struct.pack("<I", i) + b"the table is missing")
        if how == "prints":
            print("value", value)
            sys.stderr.write("to stderr\n")
        rows += [value] + ([x[0] + x[1]] if how == "derived" else [])
    extra = 1 if how == "too-many" else 0
    send(3, struct.pack("<II", n + extra, len(rows) // n) + struct.pack("<%dd" % len(rows), *rows) + bytes(status))
