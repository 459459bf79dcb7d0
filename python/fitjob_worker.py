"""Serves a Python likelihood to fitjob over two pipes (docs/command-protocol.md); needs numpy alone.

fitjob (kind = "python") runs it by itself. To run it by hand, copy it beside the script and say

    [model]
    kind = "command"
    command = ["python3", "fitjob_worker.py", "script.py", "log_likelihood"]     # and "--vectorised"

In a script, `from fitjob_worker import Reject` and `raise Reject("why")` says that a point is impossible; so does returning
-inf. Any other exception is a failure of that point, and `[run] on_error` of the job says what follows.
"""
import importlib.util
import os
import struct
import sys
import traceback

VERSION = 1
HELLO, POINTS, RESULTS, ERROR, BYE, GRADIENT = 1, 2, 3, 4, 5, 6
OK, REJECTED, FAILED, FATAL = 0, 1, 2, 3


class Reject(Exception):
    """The point is impossible: log L = -inf, counted and reported."""


class Refusal(Exception):
    """Why there is no serving at all."""


class WrongAnswer(Exception):
    """What the function returned is not what the job says: no other point will do better."""


class Pipes:
    """Frames: kind and length as little-endian u32, then the body."""

    def __init__(self):
        try:
            read, write = int(os.environ["FITJOB_READ_FD"]), int(os.environ["FITJOB_WRITE_FD"])
        except KeyError:
            sys.exit("fitjob_worker.py is started by fitjob, which tells it its pipes (FITJOB_READ_FD, FITJOB_WRITE_FD)")
        self.reader = os.fdopen(read, "rb", 1 << 16)
        self.write_fd = write
        os.set_inheritable(read, False)  # what the likelihood starts has no part in this
        os.set_inheritable(write, False)

    def receive(self):
        """Kind and body (a bytearray) of the next frame; BYE where fitjob is gone."""
        header = self.reader.read(8)
        if len(header) < 8:
            return BYE, bytearray()
        kind, length = struct.unpack("<II", header)
        body = bytearray(length)
        if self.reader.readinto(body) < length:
            return BYE, body
        return kind, body

    def send(self, *frames):
        data = memoryview(b"".join(part for kind, body in frames for part in (struct.pack("<II", kind, len(body)), body)))
        while data:
            data = data[os.write(self.write_fd, data):]

    def error(self, point, text):
        return ERROR, struct.pack("<I", point) + text.encode("utf-8", "replace")


def last_lines(error):
    """The traceback without our own part, its last lines."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f for f in frames if f.filename != __file_or_string__]
    lines = traceback.format_list(mine[-4:]) + traceback.format_exception_only(type(error), error)
    return "".join(lines).rstrip()


__file_or_string__ = globals().get("__file__", "<string>")


def load(script, name):
    """The function, and its gradient if the script has one."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    sys.modules["fitjob_worker"] = sys.modules[__name__]
    stem = os.path.splitext(os.path.basename(script))[0]
    if not os.path.exists(script):
        raise Refusal("there is no file " + script)
    spec = importlib.util.spec_from_file_location(stem, script)
    if spec is None:
        raise Refusal(script + " is no Python script (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    sys.argv = [script]
    try:
        spec.loader.exec_module(module)
    except BaseException as error:  # also sys.exit
        raise Refusal("it cannot be imported:\n" + last_lines(error))
    function = getattr(module, name, None)
    if not callable(function):
        there = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", None) == stem]
        raise Refusal("it has no function %s (it has: %s); say [model] function" % (name, ", ".join(there) or "none"))
    return function, getattr(module, name + "_gradient", None)


class Server:
    def __init__(self, np, pipes, function, gradient, vectorised):
        self.np, self.pipes, self.function, self.gradient = np, pipes, function, gradient
        self.vectorised, self.derived, self.checked = vectorised, 0, False

    def hello(self, body):
        lines = body.decode().splitlines()
        if not lines or lines[0] != "fitjob %d" % VERSION:
            raise Refusal("this fitjob_worker.py speaks version %d of the protocol; fitjob said %r" % (VERSION, lines[:1]))
        self.derived = sum(line.startswith("derived ") for line in lines)
        self.pipes.send((HELLO, b"fitjob %d\n%s" % (VERSION, b"gradient\n" if callable(self.gradient) else b"")))

    def run(self):
        while True:
            kind, body = self.pipes.receive()
            if kind == BYE:
                return
            n, d = struct.unpack_from("<II", body)
            points = self.np.frombuffer(body, "<f8", n * d, 8).reshape(n, d)
            columns = 1 + (d if kind == GRADIENT else self.derived)
            values, status, errors = self.np.full((n, columns), self.np.nan), bytearray(n), []
            if kind == GRADIENT:
                self.each(points, values, status, errors, self.gradient_of)
            elif self.vectorised:
                self.together(points, values, status, errors)
            else:
                self.each(points, values, status, errors, self.value_of)
            sys.stdout.flush()
            results = struct.pack("<II", n, columns) + values.astype("<f8", copy=False).tobytes() + status
            self.pipes.send(*[self.pipes.error(i, text) for i, text in errors], (RESULTS, results))

    def each(self, points, values, status, errors, one):
        """Point by point."""
        for i in range(len(points)):
            try:
                one(points[i], values[i])
            except Reject as why:
                status[i] = REJECTED
                errors.append((i, str(why) or "rejected by the script"))
            except WrongAnswer as why:
                status[i] = FATAL
                errors.append((i, str(why)))
            except BaseException as error:  # also sys.exit and Ctrl-C: a failure of this point, not the end of the worker
                status[i] = FAILED
                errors.append((i, last_lines(error)))

    def value_of(self, theta, out):
        value = self.function(theta)
        if type(value) is tuple:
            if len(value) != 2:
                raise WrongAnswer("the function returned %d values; log L, or (log L, derived) is expected" % len(value))
            value, derived = value
            out[0] = number(value)
            derived = self.np.ravel(self.np.asarray(derived, float))
            if len(derived) != self.derived:
                raise WrongAnswer("the function returned %d derived quantities; [model] derived has %d names" % (len(derived), self.derived))
            out[1:] = derived
        elif self.derived:
            raise WrongAnswer("the function returned log L alone; with [model] derived it must return (log L, derived)")
        else:
            out[0] = number(value)

    def gradient_of(self, theta, out):
        value, slopes = self.gradient(theta)
        out[0] = number(value)
        slopes = self.np.ravel(self.np.asarray(slopes, float))
        if len(slopes) != len(theta):
            raise WrongAnswer("the gradient has %d elements; there are %d parameters" % (len(slopes), len(theta)))
        out[1:] = slopes

    def together(self, points, values, status, errors):
        """All points in one call; one by one where that fails, to see which it was."""
        try:
            values[:] = self.values_of(points)
        except WrongAnswer as why:
            status[:] = bytes([FATAL]) * len(points)
            errors.append((0, str(why)))
            return
        except BaseException:
            self.each(points, values, status, errors, lambda theta, out: out.__setitem__(slice(None), self.values_of(theta[None])[0]))
            return
        if len(points) > 1 and not self.checked:
            self.checked = True
            self.check_alone(points[:1], values[:1])

    def values_of(self, points):
        answer = self.function(points)
        n, k = len(points), self.derived
        answer, derived = answer if type(answer) is tuple and len(answer) == 2 else (answer, None)
        if (derived is None) != (k == 0):
            raise WrongAnswer("the function must return %s" % ("(log L, derived)" if k else "log L alone: [model] derived has no names"))
        answer = self.np.asarray(answer, float)
        if answer.shape not in ((n,), (n, 1)):
            raise WrongAnswer("the function was given an array %s and returned one of shape %s; (%d,) is expected" % (points.shape, answer.shape, n))
        if not k:
            return answer.reshape(n, 1)
        derived = self.np.asarray(derived, float)
        if derived.size != n * k:
            raise WrongAnswer("derived quantities have shape %s; (%d, %d) is expected" % (derived.shape, n, k))
        return self.np.column_stack([answer, derived.reshape(n, k)])

    def check_alone(self, point, value):
        alone = self.values_of(point.copy())
        if not self.np.array_equal(alone, value, equal_nan=True):
            print(
                "fitjob: the value of a point depends on what else is in its batch, or on chance (%r alone, %r with others): the same "
                "job may give other digits on another number of ranks, and a run cannot be resumed exactly" % (alone[0, 0], value[0, 0]),
                file=sys.stderr,
            )


def number(value):
    if type(value) is float:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise WrongAnswer("the function returned %.60r; a number is expected" % (value,))


def main(script, function="log_likelihood", *options):
    pipes = Pipes()
    kind, body = pipes.receive()
    if kind != HELLO:
        return
    try:
        try:
            import numpy
        except ImportError as why:
            raise Refusal("%s (Python %s) cannot import numpy: %s" % (sys.executable, sys.version.split()[0], why))
        sys.stdout.reconfigure(line_buffering=True)
        server = Server(numpy, pipes, *load(script, function), "--vectorised" in options)
        server.hello(body)
    except Refusal as why:
        pipes.send(pipes.error(0, str(why)))
        return
    server.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
