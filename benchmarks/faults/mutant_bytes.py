"""Bytes of a text with something changed, whatever they say."""

from hypothesis import strategies as st

Draw = st.DrawFn
PIECES = (
    *("\t", "\0", "\x85", "\u2028", "\ufeff", ":", ": ", "- ", "-", "&a ", "*a", "<<: *a\n", "%YAML 9.9\n---\n"),
    *("...\n", "---\n", '"', "'", "{", "}", "[", "]", "# ", "| ", "> ", "!", "!!", "? ", "@", "`", "\r", "\n", "  "),
)
"""What is put somewhere between the bytes."""
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
"""A few lines that grow to millions of values where aliases are followed blindly."""
ENCODINGS = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1", "cp500")


def place_in(draw: Draw, content: bytes) -> int:
    """A position between the bytes."""
    return draw(st.integers(0, len(content)))


def truncate(draw: Draw, content: bytes) -> tuple[bytes, str]:
    """The bytes up to somewhere."""
    end = place_in(draw, content)
    return content[:end], f"{end} bytes left"


def flip_bit(draw: Draw, content: bytes) -> tuple[bytes, str]:
    """The bytes with one bit of them changed."""
    if not content:
        return content, "nothing to flip"
    position, bit = place_in(draw, content[:-1]), draw(st.integers(0, 7))
    return content[:position] + bytes([content[position] ^ 1 << bit]) + content[position + 1 :], f"bit {position}.{bit}"


def _insert(draw: Draw, content: bytes) -> tuple[bytes, str]:
    piece, position = draw(st.sampled_from(PIECES)), place_in(draw, content)
    return content[:position] + piece.encode() + content[position:], f"insert {piece!r}"


def _cut_out(draw: Draw, content: bytes) -> tuple[bytes, str]:
    begin, length = place_in(draw, content), draw(st.integers(1, 30))
    return content[:begin] + content[begin + length :], "cut out"


def _move_lines(draw: Draw, content: bytes) -> tuple[bytes, str]:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content, "no lines to move"
    line = lines[draw(st.integers(0, len(lines) - 1))]
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"".join(lines), "a line twice"


def _encode(draw: Draw, content: bytes) -> tuple[bytes, str]:
    encoding = draw(st.sampled_from(ENCODINGS))
    return content.decode("utf-8", "replace").encode(encoding, "replace"), encoding


def _odd(draw: Draw, content: bytes) -> tuple[bytes, str]:
    deep = draw(st.sampled_from((30, 500, 2000, 50_000)))
    odd = {
        "empty": b"",
        "a comment alone": b"# nothing\n",
        "a list": b"- a\n- b\n",
        "a word": b"word",
        "windows line ends": content.replace(b"\n", b"\r\n"),
        "old line ends": content.replace(b"\n", b"\r"),
        "bytes that are no text": content + b"\xff\xfe\xff",
        "laughs": content + LAUGHS.encode(),
        f"{deep} brackets": content + b"pins: " + b"[" * deep + b"]" * deep,
        f"{deep} braces": content + b"pins: " + b"{a: " * deep + b"}" * deep,
        "two documents": content + b"\n---\n" + content,
        "a recipe of 2 MB": content + b"#" * 2_000_000,
    }
    name = draw(st.sampled_from(sorted(odd)))
    return odd[name], name


BYTES = (truncate, flip_bit, _insert, _insert, _cut_out, _move_lines, _encode, _odd, _odd)
