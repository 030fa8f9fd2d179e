"""Python source without what does not run: comments, docstrings and empty lines."""

import ast
import io
import tokenize

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def lines_of(node: ast.stmt) -> range:
    """Numbers of a statement's lines, its decorators included, from 1."""
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return range(first, (node.end_lineno or node.lineno) + 1)


def meaningful_lines(text: str) -> str:
    """Source text without comments, docstrings and empty lines; text that is not Python is returned as it is."""
    try:
        tree, tokens = ast.parse(text), list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError):
        return text
    lines = text.splitlines()
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *DEFINITIONS)) and node.body and ast.get_docstring(node, clean=False):
            for number in lines_of(node.body[0]):
                lines[number - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())
