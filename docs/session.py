"""Records docs/session.cast and docs/session.svg: a shell in which somebody runs Onefire.

What is typed stands below; what is answered comes from the real programs. `make record` runs this in a
clean state. The recording is an asciicast, version 2; the picture needs nothing but a browser.
"""
import fcntl, html, json, os, pty, re, select, struct, sys, termios, time

COLUMNS, ROWS = 106, 30
PROMPT = "\x1b[32m$\x1b[0m "
READ = 2.5      # seconds that an answer stands before the next command
LONGEST = 3.0   # seconds that a longer silence is cut to
PATIENCE = 900  # seconds that a command may take; the first `make run` builds an API server
STORM = """seq 10 | xargs -P 10 -I{} curl -s 127.0.0.1:8080 -H 'ce-specversion: 1.0' \\
    -H 'ce-type: alert' -H 'ce-source: /me' -H 'ce-id: {}' -H 'content-type: application/json' \\
    -d '{"labels":{"alertname":"DiskFull","node":"n1","severity":"warning"}}'"""
# Each command, and what its answer must hold before it counts as done.
SESSION = [
    ("make run 2>.local/run.log &", "ready:"),
    ("make alert                      # a webhook that a real Alertmanager sent", "gateway.crd.created"),
    ("clear; make alert               # the same four alerts once more", "gateway.signal.deduplicated"),
    ("clear; export KUBECONFIG=.local/kubeconfig", ""),
    ("# Ten first alerts of one fire, at once:\n" + STORM, ""),
    ("bin/onefire list", "DiskFull"),
    ("RR=$(kubectl get remediationrequests -o name --field-selector spec.severity=high | head -1)", ""),
    ("kubectl patch $RR --subresource status --type merge -p '{\"status\":{\"overallPhase\":\"Completed\"}}'", "patched"),
    ("make alert >/dev/null; kubectl get remediationrequests   # a fire after the repair: a new one", "Completed"),
]


def record():
    """Runs the session, and gives what the terminal showed: (seconds, text)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], os.environ | {
            "PS1": PROMPT, "PS2": "> ", "TERM": "xterm", "HISTFILE": "", "MAKEFLAGS": "--no-print-directory", "LOG_LEVEL": "warn",
            "INPUTRC": "/dev/null", "CLUSTER": "none"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began, shown = time.monotonic(), []

    def answer(mark, patience):
        """Keeps what is shown until the mark was there, and a prompt is at the end."""
        text, end = "", time.monotonic() + patience
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                piece = os.read(terminal, 65536).decode(errors="replace")
                piece = piece.replace("\x1b[?2004h", "").replace("\x1b[?2004l\r", "").replace("\x1b[?2004l", "")
                if piece:
                    shown.append((time.monotonic() - began, piece))
                text += piece
            elif mark in text and (PROMPT in text[-40:] or "&" in text):
                return
        sys.exit(f"no {mark!r} within {patience} s in:\n{text}")

    answer("", 10)
    for command, mark in SESSION:
        for line in command.split("\n"):
            os.write(terminal, line.encode() + b"\n")
            time.sleep(0.2)
        answer(mark, PATIENCE)
        shown.append((time.monotonic() - began + READ, ""))
        time.sleep(READ)
    os.write(terminal, b"kill %1; wait; exit\n")
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # The shell is gone.
        pass
    os.waitpid(pid, 0)
    return shown


def shorten(shown):
    """Cuts long silences."""
    at, last, out = 0.0, 0.0, []
    for when, text in shown:
        at += min(when - last, LONGEST)
        last = when
        out.append((round(at, 3), text))
    return out


class Screen:
    """As much of a terminal as the session needs: lines, wrapping, clear, one color."""

    def __init__(self):
        self.lines, self.row, self.column, self.green = [[]], 0, 0, False

    def write(self, text):
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", text, re.S):
            if token.startswith("\x1b["):
                self.control(token)
            elif token == "\n":
                self.row += 1
            elif token == "\r":
                self.column = 0
            elif token == "\b":
                self.column = max(0, self.column - 1)
            elif token == "\t":
                self.column += 8 - self.column % 8
            elif token >= " ":
                if self.column == COLUMNS:
                    self.row, self.column = self.row + 1, 0
                while len(self.lines) <= self.row:
                    self.lines.append([])
                line = self.lines[self.row]
                line += [(" ", False)] * (self.column + 1 - len(line))
                line[self.column] = (token, self.green)
                self.column += 1
        while len(self.lines) <= self.row:
            self.lines.append([])
        while self.row >= ROWS:
            self.lines.pop(0)
            self.row -= 1

    def control(self, code):
        if code.endswith("m"):
            self.green = code == "\x1b[32m"
        elif code in ("\x1b[H", "\x1b[1;1H"):
            self.row = self.column = 0
        elif code in ("\x1b[2J", "\x1b[J", "\x1b[3J"):
            del self.lines[self.row + 1:], self.lines[self.row][self.column:]
        elif code == "\x1b[K":
            del self.lines[self.row][self.column:]

    def drawn(self):
        out = []
        for line in self.lines[:ROWS]:
            parts = []
            for character, green in line:
                if not parts or parts[-1][1] != green:
                    parts.append(["", green])
                parts[-1][0] += character
            out.append("".join(f'<tspan class="g">{html.escape(t)}</tspan>' if g else html.escape(t) for t, g in parts).rstrip())
        return out


def picture(shown):
    """A film strip of screens, one below the other, that a style sheet moves past a window."""
    width, line = 8.4, 18
    frames, screen = [], Screen()
    for when, text in shown:
        screen.write(text)
        if frames and when - frames[-1][0] < 0.25:
            frames[-1] = (frames[-1][0], screen.drawn())
        elif not frames or screen.drawn() != frames[-1][1]:
            frames.append((when, screen.drawn()))
    length = shown[-1][0] + READ
    w, h = round(COLUMNS * width) + 32, ROWS * line + 32
    steps = "".join(f"{100 * when / length if i else 0:.2f}%{{transform:translateY({-i * h}px)}}" for i, (when, _) in enumerate(frames))
    body = ""
    for i, (_, lines) in enumerate(frames):
        texts = "".join(f'<text x="16" y="{i * h + 30 + n * line}">{t}</text>' for n, t in enumerate(lines) if t)
        body += f"<g>{texts}</g>\n"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img">
<title>make run, make alert, kubectl get remediationrequests: recorded by docs/session.py</title>
<style>
text{{font:14px/18px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d5d9e0;white-space:pre}}
.g{{fill:#7ec07e}}
.film{{transform:translateY({-(len(frames) - 1) * h}px);animation:film {length:.1f}s step-end infinite}}
@media (prefers-reduced-motion:reduce){{.film{{animation:none}}}}
@keyframes film{{{steps}}}
</style>
<rect width="{w}" height="{h}" rx="8" fill="#1c2028"/>
<g class="film" xml:space="preserve">
{body}</g>
</svg>
"""


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(os.path.dirname(here))
    os.makedirs(".local", exist_ok=True)
    film = shorten(record())
    with open(os.path.join(here, "session.cast"), "w") as cast:
        cast.write(json.dumps({"version": 2, "width": COLUMNS, "height": ROWS, "env": {"SHELL": "bash", "TERM": "xterm"}}) + "\n")
        for when, text in film:
            if text:
                cast.write(json.dumps([when, "o", text]) + "\n")
    with open(os.path.join(here, "session.svg"), "w") as svg:
        svg.write(picture(film))
