"""``vecdb collections``: what collections there are, their making, their changes and their end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from vecdb.cli import printed
from vecdb.cli.target import Target, target

if TYPE_CHECKING:
    from vecdb import CollectionInfo, SparseField, TextField, VectorField


@click.group()
def collections() -> None:
    """Make, list, change and drop collections, and their aliases."""


@collections.command("list")
@target
@printed.as_json
def list_(where: Target, as_json: bool) -> None:
    """All collections, by name.

    Example: vecdb collections list --data ./data
    """
    with where.open() as db:
        found = db.list_collections()
    if as_json:
        for info in found:
            printed.document(info)
    elif found:
        printed.rows([_summary(info) for info in found], {heading: _cell(heading) for heading in _summary(found[0])})
    else:
        click.echo("there are no collections")


@collections.command()
@click.argument("name")
@target
@printed.as_json
def describe(where: Target, name: str, as_json: bool) -> None:
    """Schema, names, indexing and number of points of NAME.

    Example: vecdb collections describe docs
    """
    with where.open() as db:
        info = db.collection(name).describe()
    if as_json:
        printed.document(info)
        return
    printed.facts(
        {
            **{label: value for label, value in _summary(info).items() if label != "vectors"},
            "created": printed.moment(info.created_at_ms),
            **_schema(info),
        }
    )


@collections.command()
@click.argument("name")
@click.option("--dim", type=int, metavar="COUNT", help="Numbers of a vector of the unnamed field.")
@click.option("--metric", default="cosine", show_default=True, help="cosine, euclidean or dot.")
@click.option("--model", metavar="NAME", help="The embedding model of the unnamed field, which writes may then state.")
@click.option("--m", type=int, default=16, show_default=True, help="Links that a node of the graph keeps.")
@click.option(
    "--ef-construction", type=int, default=200, show_default=True, help="How widely is searched for links to make."
)
@click.option(
    "--vector", "named", multiple=True, metavar="NAME:DIM[:METRIC]", help="One more vector field; may be repeated."
)
@click.option("--analyzer", default="multilingual", show_default=True, help="How the unnamed text field is searched.")
@click.option(
    "--text-field", "texts", multiple=True, metavar="NAME[:ANALYZER]", help="One more text field; may be repeated."
)
@click.option("--sparse-field", "sparse", multiple=True, metavar="NAME", help="A sparse field; may be repeated.")
@click.option("--exist-ok", is_flag=True, help="No error when there is such a collection with the same schema.")
@target
@printed.as_json
def create(
    where: Target,
    name: str,
    named: tuple[str, ...],
    texts: tuple[str, ...],
    sparse: tuple[str, ...],
    as_json: bool,
    **how: Any,
) -> None:
    """Create the collection NAME. With --data, the directory is made if it is not there.

    Example: vecdb collections create docs --dim 384 --metric dot
    """
    fields = dict(_named(text) for text in named)
    words = dict(_text_field(text) for text in texts)
    from vecdb import SparseField

    weights = {field: SparseField() for field in sparse}
    with where.open(make=True) as db:
        made = db.create_collection(name, vectors=fields or None, texts=words or None, sparse=weights or None, **how)
        info = made.describe()
    if as_json:
        printed.document(info)
    else:
        click.echo(f"created {info.name}: {_fields(info)}")


@collections.command()
@click.argument("name")
@click.argument("mode", type=click.Choice(("auto", "deferred")))
@click.option("--wait", is_flag=True, help="With auto: until every vector that should be in a graph is.")
@target
def indexing(where: Target, name: str, mode: Any, wait: bool) -> None:
    """Build the graphs of NAME as points come, or not for now.

    deferred is for loading much at once: nothing is built, and no write waits for it, until auto again.

    Example: vecdb collections indexing docs auto --wait
    """
    with where.open() as db:
        db.collection(name).set_indexing(mode)
        if wait and mode == "auto":
            db.collection(name).wait_indexed()
    click.echo(f"indexing of {name} is {mode}")


@collections.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target
def drop(where: Target, name: str, yes: bool) -> None:
    """Remove the collection NAME and everything in it, for good. Asks first, on a terminal.

    Example: vecdb collections drop docs_old --yes
    """
    with where.open() as db:
        if not yes:
            points = db.collection(name).count()
            if not sys.stdin.isatty():
                raise click.UsageError(f"{name} has {points:,} points; to drop it without being asked, say --yes")
            click.confirm(f"Drop {name} with {points:,} points, for good?", abort=True)
        db.drop_collection(name)
    click.echo(f"dropped {name}")


@collections.command()
@click.argument("name")
@click.argument("new_name")
@target
def rename(where: Target, name: str, new_name: str) -> None:
    """Call the collection NAME something else.

    Its points and aliases stay.

    Example: vecdb collections rename docs docs_2026
    """
    with where.open() as db:
        db.rename_collection(name, new_name)
    click.echo(f"renamed {name} to {new_name}")


@collections.command()
@click.argument("alias")
@click.argument("collection")
@target
def alias(where: Target, alias: str, collection: str) -> None:
    """Let ALIAS stand for COLLECTION.

    If it stood for another, it does no longer, in one step for everybody.

    Example: vecdb collections alias docs docs_v2
    """
    with where.open() as db:
        db.alias(alias, collection)
    click.echo(f"{alias} stands for {collection}")


@collections.command()
@click.argument("alias")
@target
def unalias(where: Target, alias: str) -> None:
    """Forget ALIAS; the collection that it stands for stays.

    Example: vecdb collections unalias docs
    """
    with where.open() as db:
        db.drop_alias(alias)
    click.echo(f"{alias} stands for nothing")


@collections.command("add-vector")
@click.argument("name")
@click.argument("field")
@click.option("--dim", type=int, required=True, metavar="COUNT", help="Numbers of a vector.")
@click.option("--metric", default="cosine", show_default=True, help="cosine, euclidean or dot.")
@click.option("--model", metavar="NAME", help="The embedding model, which writes may then state.")
@click.option("--m", type=int, default=16, show_default=True, help="Links that a node of the graph keeps.")
@click.option(
    "--ef-construction", type=int, default=200, show_default=True, help="How widely is searched for links to make."
)
@target
@printed.as_json
def add_vector(where: Target, name: str, field: str, as_json: bool, **how: Any) -> None:
    """Add the vector field FIELD to the collection NAME.

    No point has a vector in it yet. What is meant where no field is named stays what it was.

    Example: vecdb collections add-vector docs image --dim 512 --metric dot
    """
    from vecdb import VectorField

    with where.open() as db:
        info = db.collection(name).add_vector_field(field, VectorField(**how))
    _changed(info, as_json)


@collections.command("drop-vector")
@click.argument("name")
@click.argument("field")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target
@printed.as_json
def drop_vector(where: Target, name: str, field: str, yes: bool, as_json: bool) -> None:
    """Drop the vector field FIELD of NAME with its vectors.

    For good; the points stay. Asks first, on a terminal. The default field is refused: let another be it first.

    Example: vecdb collections drop-vector docs image --yes
    """
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"to drop {field!r} of {name} without being asked, say --yes")
        click.confirm(f"Drop the vectors {field!r} of {name}, for good?", abort=True)
    with where.open() as db:
        info = db.collection(name).drop_vector_field(field)
    _changed(info, as_json)


@collections.command("rename-vector")
@click.argument("name")
@click.argument("field")
@click.argument("new_field")
@target
@printed.as_json
def rename_vector(where: Target, name: str, field: str, new_field: str, as_json: bool) -> None:
    """Call the vector field FIELD of NAME something else. The unnamed one is "".

    Example: vecdb collections rename-vector docs image picture
    """
    with where.open() as db:
        info = db.collection(name).rename_vector_field(field, new_field)
    _changed(info, as_json)


@collections.command("set-text")
@click.argument("name")
@click.argument("field", default="")
@click.option("--analyzer", metavar="NAME", help="How its words are found.")
@click.option("--options", metavar="JSON", help="Options of the analyzer, all of them: an object.")
@click.option("--k1", type=float, metavar="NUMBER", help="BM25: how much repetitions of a word count, from 0.")
@click.option("--b", type=float, metavar="NUMBER", help="BM25: how much the length of a text counts, 0..1.")
@click.option("--keywords", type=click.Choice(("on", "off")), help="Whether its words are indexed.")
@target
@printed.as_json
def set_text(
    where: Target,
    name: str,
    field: str,
    analyzer: str | None,
    options: str | None,
    keywords: str | None,
    as_json: bool,
    **numbers: float | None,
) -> None:
    """Change how the text field FIELD of NAME is searched.

    FIELD is the unnamed one if it is left out. What is not said stays as it is, but another analyzer begins without
    options. With another analyzer the texts are indexed anew in the background, while searches go on.

    Example: vecdb collections set-text docs title --analyzer english --k1 1.5
    """
    from dataclasses import replace

    from vecdb import FieldNotFound

    changes: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    if analyzer is not None:
        changes |= {"analyzer": analyzer, "options": {}}
    if options is not None:
        changes["options"] = _object(options)
    if keywords is not None:
        changes["keywords"] = keywords == "on"
    if not changes:
        raise click.UsageError("there is nothing to set: say --analyzer, --options, --k1, --b or --keywords")
    with where.open() as db:
        collection = db.collection(name)
        texts = collection.describe().schema.texts
        if field not in texts:
            raise FieldNotFound(
                "unknown text field", field="field", expected=" | ".join(map(repr, texts)), received=repr(field)
            )
        info = collection.set_text_field(field, replace(texts[field], **changes))
    _changed(info, as_json)


@collections.command("set")
@click.argument("name")
@click.option("--default-vector", metavar="FIELD", help="The vector field meant where none is named.")
@click.option("--ttl", metavar="SECONDS", help="How long points stay that are written from now on; none: for ever.")
@click.option(
    "--payload-columns", type=click.Choice(("on", "off")), help="Whether values of payloads are kept for filters."
)
@target
@printed.as_json
def set_(
    where: Target, name: str, default_vector: str | None, ttl: str | None, payload_columns: str | None, as_json: bool
) -> None:
    """Change what goes for the collection NAME, while it serves.

    Example: vecdb collections set docs --default-vector image --ttl 86400
    """
    if default_vector is None and ttl is None and payload_columns is None:
        raise click.UsageError("there is nothing to set: say --default-vector, --ttl or --payload-columns")
    seconds = None if ttl is None else _seconds(ttl)
    with where.open() as db:
        collection = db.collection(name)
        if default_vector is not None:
            info = collection.set_default_vector(default_vector)
        if ttl is not None:
            info = collection.set_ttl(seconds)
        if payload_columns is not None:
            info = collection.set_payload_columns(payload_columns == "on")
    _changed(info, as_json)


def _changed(info: CollectionInfo, as_json: bool) -> None:
    if as_json:
        printed.document(info)
    else:
        printed.facts({"name": info.name, **_schema(info)})


def _schema(info: CollectionInfo) -> dict[str, Any]:
    """What a collection is made of; what is as usual is left out."""
    schema = info.schema
    told: dict[str, Any] = {f"vector {name}".strip(): _field(field) for name, field in schema.vectors.items()}
    told |= {f"text {name}".strip(): _words(field) for name, field in schema.texts.items()}
    told |= {f"sparse {name}".strip(): _sparse(field) for name, field in schema.sparse.items()}
    if schema.default_vector is not None:
        told["default vector"] = schema.default_vector or '""'
    if schema.ttl_ms:
        told["time to live"] = f"{schema.ttl_ms / 1000:,g} s"
    if not schema.payload_columns:
        told["payload columns"] = "off"
    return told


def _sparse(field: SparseField) -> str:
    return "dot product" if field.model is None else f"dot product, model {field.model}"


def _seconds(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number of seconds nor none", param_hint="--ttl") from None


def _summary(info: CollectionInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "aliases": ", ".join(info.aliases),
        "points": info.points,
        "vectors": _fields(info),
        "indexing": info.indexing,
    }


def _cell(heading: str) -> Any:
    return lambda summary: printed.shown(heading, summary[heading])


def _fields(info: CollectionInfo) -> str:
    fields = info.schema.vectors.items()
    return ", ".join(f"{name}: {f.dim} {f.metric}" if name else f"{f.dim} {f.metric}" for name, f in fields) or "none"


def _field(field: VectorField) -> str:
    model = f", model {field.model}" if field.model else ""
    return f"{field.dim} {field.metric}, m {field.m}, ef_construction {field.ef_construction}{model}"


def _words(field: TextField) -> str:
    import orjson

    options = f", options {orjson.dumps(dict(field.options)).decode()}" if field.options else ""
    if not field.keywords:
        return f"analyzer {field.analyzer}{options}, no keywords"
    numbers = "" if (field.k1, field.b) == (1.2, 0.75) else f", k1 {field.k1:g}, b {field.b:g}"
    return f"analyzer {field.analyzer}{options}{numbers}"


def _object(text: str) -> dict[str, Any]:
    import orjson

    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--options") from None
    if not isinstance(found, dict):
        raise click.BadParameter('an object is expected, such as {"stop_words": []}', param_hint="--options")
    return found


def _text_field(text: str) -> tuple[str, TextField]:
    from vecdb import TextField

    name, _, analyzer = text.partition(":")
    if not name:
        raise click.BadParameter(f"{text!r} is not NAME or NAME:ANALYZER", param_hint="--text-field")
    return name, TextField(analyzer) if analyzer else TextField()


def _named(text: str) -> tuple[str, VectorField]:
    from vecdb import VectorField

    name, _, rest = text.partition(":")
    dim, _, metric = rest.partition(":")
    if not name or not dim.isdecimal():
        raise click.BadParameter(f"{text!r} is not NAME:DIM or NAME:DIM:METRIC", param_hint="--vector")
    made: Any = VectorField
    return name, made(int(dim), metric or "cosine")
