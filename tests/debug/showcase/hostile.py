"""Names that attack a page, or break its lines: what users, clients and libraries may put into one."""

from __future__ import annotations

MARK = "data-hostile"
"""An attribute of every element that a name would become if it were taken for markup."""
OWNED = "owned"
"""What the title of a page is once one of the scripts ran."""

SCRIPT = f"</script><script {MARK}>document.title='{OWNED}'</script>"
IMAGE = f"\"'><img {MARK} src=x onerror=\"document.title='{OWNED}'\">"
VECTOR = f"<svg {MARK} onload=alert(1)>"
STYLE = f"</style></title></textarea><style {MARK}>*{{display:none}}</style>"
FRAME = f"<iframe {MARK} src=https://example.org/></iframe><base {MARK} href=https://example.org/>"
COMMENT = "<!-- ]]> &lt;b&gt; &amp;amp; </table></details>"
TEMPLATE = "{{ 7*7 }} {% raw %} ${7*7} #{7*7}"
LINK = "javascript:document.title='owned'"
SHELL = "`$(reboot)`;'\"\\ | %0a%s%n"
LONG = "incomprehensibilities_of_" + "counterrevolutionary" * 12
REVERSED = "invoice\u202efdp.exe\u202c \u2066isolated"
HEBREW = "הזמנות של לקוח"
ARABIC = "طلبات العميل"
EMOJI = "🧨 checkout 👩‍👩‍👧‍👦 🇩🇪"
STACKED = "Z\u0351\u036b\u0343a\u0349\u034dl\u0315g\u0321o\u0322\u0323"
LINES = "first line\nsecond\tline\x00\x1b[31mred"

NAMES = (
    SCRIPT, IMAGE, VECTOR, STYLE, FRAME, COMMENT, TEMPLATE, LINK, SHELL, LONG, REVERSED, HEBREW, ARABIC, EMOJI,
    STACKED, LINES,
)  # fmt: skip
PRINTABLE = tuple(name for name in NAMES if name.isprintable())
"""Those that are allowed where a name must be printable."""
SHOWN = "<script data-hostile>"
"""What must be read on a page that has such names: they are shown, not dropped."""
