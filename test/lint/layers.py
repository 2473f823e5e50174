#!/usr/bin/env python3
"""Which folder may include which, and which file may touch a foreign header or a banned call.

Prints file:line: problem for each offence; exits 1 when there is one. The rules are DESIGN's dependency
rule (lower knows nothing of higher; webhook, reconciler and provisioner never include each other) and the
house style's list of calls that have a safer twin.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# folder -> folders it may include besides itself
MAY_INCLUDE = {
    "common/base": [],
    "common/json": ["common/base"],
    "common/api": ["common/json", "common/base"],
    "common/catalogue": ["common/json", "common/base"],
    "common/plan": ["common/catalogue", "common/api", "common/json", "common/base"],
    "common/k8s": ["common/api", "common/json", "common/base"],
    "common/causes": ["common/json", "common/base"],
    "common/http": ["common/json", "common/base"],
    "common/msg": ["common/json", "common/base"],
    "proto": ["common/json", "common/base"],
    "webhook": ["common", "proto"],
    "reconciler": ["common", "proto"],
    "provisioner": ["common", "proto"],
    "cli": ["common", "proto", "webhook"],
    "services": ["common", "proto", "webhook", "reconciler", "provisioner", "cli"],
    "test": ["common", "proto", "webhook", "reconciler", "provisioner", "cli", "services"],
}

# header pattern -> where it may be included
FOREIGN = {
    r"curl/": ["common/k8s/transport_curl.c", "common/http/client_curl.c"],
    r"microhttpd\.h": ["common/http/"],
    r"nng/": ["common/msg/"],
    r"yaml\.h": ["common/json/"],
    r"openssl/": ["common/base/"],
}

# call pattern -> where it is allowed (memory and JSON wrap them)
BANNED = {
    r"\b(strdup|strndup|malloc|calloc|realloc|asprintf|vasprintf)\(": ["common/base/"],
    r"\b(sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|atoi|atol|atof|gets|localtime|gmtime|rand|"
    r"system|popen)\(": ["common/json/json.c"],
    r"\bcJSON_(Parse|Print|GetObjectItem|Delete|Duplicate|Compare)\w*\(": ["common/json/"],
}
ALLOWED_CALLS = re.compile(r"cJSON_(DeleteItemFromObjectCaseSensitive|GetObjectItemCaseSensitive)\(")


def folder_of(path):
    text = path.as_posix()
    return max((f for f in MAY_INCLUDE if text.startswith(f + "/")), key=len, default=None)


def include_problem(path, header):
    mine, other = folder_of(path), folder_of(pathlib.PurePosixPath(header))
    if mine is None or other is None or mine == other:
        return None
    if any(other == f or other.startswith(f + "/") for f in MAY_INCLUDE[mine]):
        return None
    return f"{mine} may not include {header}"


def problems_in(path):
    relative = path.relative_to(ROOT)
    text = relative.as_posix()
    in_comment = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        quoted = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if quoted:
            problem = include_problem(relative, quoted.group(1))
            if problem:
                yield number, problem
        foreign = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if foreign and not text.startswith("test/"):
            for pattern, places in FOREIGN.items():
                if re.match(pattern, foreign.group(1)) and not any(text.startswith(p) for p in places):
                    yield number, f"<{foreign.group(1)}> belongs in {', '.join(places)}"
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        code = re.sub(r"/\*.*?\*/", "", code)
        if in_comment:
            if "*/" not in code:
                continue
            code, in_comment = code.split("*/", 1)[1], False
        if "/*" in code:
            code, in_comment = code.split("/*", 1)[0], True
        if re.search(r"(^|[^:])//", code):
            yield number, "write /* comments */"
        if text.startswith("test/"):
            continue
        for pattern, places in BANNED.items():
            found = re.search(pattern, ALLOWED_CALLS.sub("", code))
            if found and not any(text.startswith(p) for p in places):
                yield number, f"{found.group(0)}...) is banned here; see CONTRIBUTING.md"


def main():
    failed = False
    for pattern in ("**/*.c", "**/*.h"):
        for path in sorted(ROOT.glob(pattern)):
            if path.relative_to(ROOT).parts[0] in ("build", ".git"):
                continue
            for number, problem in problems_in(path):
                print(f"{path.relative_to(ROOT)}:{number}: {problem}")
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
