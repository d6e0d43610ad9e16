"""Puts what stands elsewhere in the repository into the chapters of the site, for mdBook: a preprocessor of it.

A chapter says, on a line of its own,

    {{#file ../../runbook.md}}                    the whole file
    {{#section ../../../README.md#Watching it}}   what stands under this heading, with the headings below it
    {{#part ../../../README.md#Running it}}       the same, up to the next heading

by the path from the chapter's file. Headings are shifted: the first becomes the chapter's own where it has none, else those that
are included begin one below it. Links are turned: to what is in the site, to the chapter that includes it; to any other file of
the repository, which the site does not have, into its path. A link to what is nowhere is an error, and so is a heading that is not
there.
"""

import json
import os
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r"^\{\{#(file|section|part) ([^}#]+)(?:#([^}]+))?\}\}$")
HEADING = re.compile(r"^(#{1,6}) (.*)$")
FENCE = re.compile(r"^\s*(```+|~~~+)")
ANCHOR = re.compile(r'<a id="([^"]+)">')
# A span of code, which is left as it is, or a link.
LINK = re.compile(r"(`+)(?:(?!\1).)*\1(?!`)|(!?)\[((?:[^\[\]`]|`[^`]*`)*)\]\(([^()\s]+)\)")


def slug(heading):
    """The id that GitHub and mdBook give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return "".join(c for c in text.replace(" ", "-") if c.isalnum() or c in "-_")


def prose(lines):
    """Of each line whether it is prose, and not code between fences."""
    fence = None
    for line in lines:
        found = FENCE.match(line)
        if fence:
            yield line, False
            if found and found[1].startswith(fence):
                fence = None
        elif found:
            fence = found[1]
            yield line, False
        else:
            yield line, True


def cut(path, kind, title):
    """The lines of a file that are included."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if kind == "file":
        return lines
    taken, level = [], None
    for line, is_prose in prose(lines):
        heading = HEADING.match(line) if is_prose else None
        if level is not None and heading and (kind == "part" or len(heading[1]) <= level):
            break
        if heading and level is None and heading[2] == title:
            level = len(heading[1])
        if level is not None:
            taken.append(line)
    if level is None:
        sys.exit(f"{path} has no heading {title!r}")
    return taken


def shift(lines, below):
    """The lines with their headings so much deeper or higher that they begin below the chapter's title, or are it."""
    levels = [len(found[1]) for line, is_prose in prose(lines) if is_prose and (found := HEADING.match(line))]
    by = (2 if below else 1) - min(levels, default=0) if levels else 0
    for line, is_prose in prose(lines):
        found = HEADING.match(line) if is_prose else None
        yield f"{'#' * max(1, min(6, len(found[1]) + by))} {found[2]}" if found else line


class Book:
    def __init__(self, root, source):
        self.top = root.parent.resolve()
        self.source = source
        # Where the ids of a file of the repository are in the site; that of None is its beginning.
        self.places = {}

    def collect(self, chapters):
        """Notes what the chapters include, and their own files."""
        for chapter in chapters:
            own = (self.source / chapter["path"]).resolve()
            self.places.setdefault(own, {})[None] = chapter["path"]
            for line in chapter["content"].splitlines():
                if found := INCLUDE.match(line):
                    file = self.file_of(own, found[2])
                    lines = cut(file, found[1], found[3])
                    ids = self.places.setdefault(file, {})
                    for text, is_prose in prose(lines):
                        if is_prose and (heading := HEADING.match(text)):
                            ids.setdefault(slug(heading[2]), chapter["path"])
                        for anchor in ANCHOR.findall(text) if is_prose else ():
                            ids.setdefault(anchor, chapter["path"])
                    if found[1] == "file":
                        ids[None] = chapter["path"]
                    else:
                        ids.setdefault(None, chapter["path"])

    def file_of(self, chapter, path):
        file = (chapter.parent / path.strip()).resolve()
        if not file.is_file():
            sys.exit(f"{chapter} includes {file}, which is not there")
        return file

    def turn(self, line, file, chapter):
        """The line with its links as the chapter has them."""

        def link(found):
            code, image, text, target = found[1], found[2], found[3], found[4]
            if code or re.match(r"[a-z]+:", target) and not target.startswith("crate::"):
                return found[0]
            path, _, fragment = target.partition("#")
            # A path of rustdoc is a page that the site does not have.
            if "::" in target or (path and not image and file.parent.name == "guide" and "." not in path):
                return text
            there = (file.parent / path).resolve() if path else file
            if not there.exists():
                sys.exit(f"{file}: the link to {target} leads nowhere")
            ids = self.places.get(there)
            own = there.is_relative_to(self.source)
            if ids is None or fragment and not own and fragment not in ids:
                if ids is not None and fragment:
                    sys.exit(f"{file}: {target} is not in the site, but other parts of the file are")
                name = there.relative_to(self.top)
                return text if str(name) in text or there.name in text else f"{text} (`{name}`)"
            page = ids[None if own else fragment or None]
            way = os.path.relpath(page, os.path.dirname(chapter["path"]) or ".")
            return f"{image}[{text}]({way}{'#' + fragment if fragment else ''})"

        return LINK.sub(link, line)

    def expand(self, chapter):
        own = (self.source / chapter["path"]).resolve()
        out, has_title = [], False
        for line, is_prose in prose(chapter["content"].splitlines()):
            found = INCLUDE.match(line) if is_prose else None
            if not found:
                has_title = has_title or line.startswith("# ")
                out.append(line)
                continue
            file = self.file_of(own, found[2])
            lines = list(shift(cut(file, found[1], found[3]), has_title))
            has_title = True
            out.extend(self.turn(text, file, chapter) if is_prose else text for text, is_prose in prose(lines))
        chapter["content"] = "\n".join(out) + "\n"


def chapters_of(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter and chapter.get("path"):
            yield chapter
            yield from chapters_of(chapter["sub_items"])


def main():
    if sys.argv[1:2] == ["supports"]:
        sys.exit(0)
    context, book = json.load(sys.stdin)
    root = Path(context["root"])
    site = Book(root.resolve(), (root / context["config"]["book"].get("src", "src")).resolve())
    chapters = list(chapters_of(book["items"]))
    site.collect(chapters)
    for chapter in chapters:
        site.expand(chapter)
    json.dump(book, sys.stdout)


main()
