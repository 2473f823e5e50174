#!/usr/bin/env python3
"""Both versions of the Workspace are the same but for one default, so that nothing is lost whichever a user writes.

Compares the two version blocks of the CRD line by line. Nothing but Python is needed; a real API server judges the
YAML itself when the end-to-end tests apply it. Usage: crd-versions.py [file]
"""
import difflib
import pathlib
import re
import sys

# What v1alpha1 may have that v1beta1 has not: path of the member, and the line.
ONLY_ALPHA = [("resource.instanceType", "default: Standard_NC24ads_A100_v4")]
# What each version says of itself.
OWN_LINES = {"v1beta1": {"name": "v1beta1", "storage": "true"}, "v1alpha1": {"name": "v1alpha1", "storage": "false"}}

DEFAULT_FILE = pathlib.Path(__file__).resolve().parents[2] / "deploy/crds/kaito.sh_workspaces.yaml"


def version_blocks(text):
    """{version name: its lines, without the list marker}, the blocks being the items of spec.versions."""
    lines = text.split("\n")
    start = lines.index("  versions:") + 1
    blocks, name = {}, None
    for line in lines[start:]:
        if line and not line.startswith("    "):
            break
        item = re.fullmatch(r"    - name: (\S+)", line)
        if item:
            name = item[1]
            blocks[name] = []
            line = line.replace("-", " ", 1)
        if name is None:
            sys.exit(f"crd-versions: expected '    - name: VERSION', found {line!r}")
        blocks[name].append(line.rstrip())
    for block in blocks.values():
        while block and not block[-1]:
            block.pop()
    return blocks


def take_own(block, own, version):
    """The block without the lines in which a version speaks of itself; complains when one is missing or differs."""
    rest = list(block)
    for key, value in own.items():
        line = f"      {key}: {value}"
        if line not in rest:
            sys.exit(f"crd-versions: {version} has no line '{line.strip()}'")
        rest.remove(line)
    return rest


def member_lines(block, path):
    """Indices of the lines of one member of the schema, found by walking `properties:` down the dotted path."""
    first, last = 0, len(block)
    for part in path.split("."):
        for i in range(first, last):
            found = re.fullmatch(rf"( *){re.escape(part)}:", block[i])
            if found and in_properties(block, i):
                indent = len(found[1])
                first = i + 1
                last = next((j for j in range(first, last)
                             if block[j].strip() and len(block[j]) - len(block[j].lstrip()) <= indent), last)
                break
        else:
            sys.exit(f"crd-versions: no member {path}")
    return range(first, last)


def in_properties(block, i):
    """Whether line i is a direct child of a `properties:` line."""
    indent = len(block[i]) - len(block[i].lstrip())
    for j in range(i - 1, -1, -1):
        if block[j].strip() and len(block[j]) - len(block[j].lstrip()) < indent:
            return block[j].strip() == "properties:"
    return False


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FILE
    blocks = version_blocks(path.read_text())
    if set(blocks) != set(OWN_LINES):
        sys.exit(f"crd-versions: expected versions {sorted(OWN_LINES)}, found {sorted(blocks)}")
    beta = take_own(blocks["v1beta1"], OWN_LINES["v1beta1"], "v1beta1")
    alpha = take_own(blocks["v1alpha1"], OWN_LINES["v1alpha1"], "v1alpha1")
    for member, line in ONLY_ALPHA:
        where = [i for i in member_lines(alpha, member) if alpha[i].strip() == line]
        if len(where) != 1:
            sys.exit(f"crd-versions: v1alpha1 {member} should say '{line}' once, says it {len(where)} times")
        del alpha[where[0]]
    difference = list(difflib.unified_diff(beta, alpha, "v1beta1", "v1alpha1", lineterm="", n=4))
    if difference:
        print("\n".join(difference))
        sys.exit(f"crd-versions: {path.name}: the versions differ; make the same change in both")


if __name__ == "__main__":
    main()
