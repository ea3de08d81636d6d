"""Every verb: its words, its module and its line in the help.

The table is separate from the verbs so that the overview, and the search for what somebody may have meant,
need none of the verbs' modules: a command imports only what it uses.

Read next: verbs/repo.py.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import NamedTuple


class Verb(NamedTuple):
    """How a verb is typed, and where it is."""

    words: tuple[str, ...]
    module: str
    help: str

    @property
    def name(self) -> str:
        """The words as a user types them."""
        return " ".join(self.words)

    @property
    def function(self) -> str:
        """The name of the verb's function in its module, in Python's spelling."""
        name = "_".join(self.words).lower()
        return f"do_{name}" if iskeyword(name) else name


def _family(module: str, *lines: tuple[str, str]) -> tuple[Verb, ...]:
    return tuple(Verb(tuple(words.split()), module, help) for words, help in lines)


FAMILIES: dict[str, tuple[Verb, ...]] = {
    "files": (
        *_family("put_file", ("put file", "Put files into a branch.")),
        *_family("get_file", ("get file", "Get the contents of a file, or of a folder with -r.")),
        *_family(
            "file",
            ("list file", "List the files of a folder."),
            ("inspect file", "Show one file's size and origin."),
            ("glob file", "List the files that a pattern matches."),
            ("copy file", "Copy a file within the server."),
            ("delete file", "Delete a file from a branch."),
        ),
        *_family("diff_file", ("diff file", "Show how files differ between two commits.")),
    ),
    "repos, branches, commits": (
        *_family(
            "repo",
            ("create repo", "Create a repo."),
            ("update repo", "Change a repo's description."),
            ("inspect repo", "Show a repo."),
            ("list repo", "List repos."),
            ("delete repo", "Delete a repo."),
        ),
        *_family(
            "branch",
            ("create branch", "Create a branch, move its head or change its provenance."),
            ("inspect branch", "Show a branch."),
            ("list branch", "List the branches of a repo."),
            ("delete branch", "Delete a branch; its commits stay."),
        ),
        *_family(
            "commit",
            ("start commit", "Open a commit."),
            ("finish commit", "Close a commit."),
            ("inspect commit", "Show a commit, or a commit set."),
            ("list commit", "List commits."),
            ("wait commit", "Wait until a commit, or all that it set off, is finished."),
            ("subscribe commit", "Show commits as they come."),
        ),
        *_family("find_commit", ("find commit", "List the commits in which a file changed.")),
        *_family(
            "drop_commit",
            ("squash commit", "Delete a commit set, keeping its data in the children."),
            ("squash commitV2", "Delete one commit, keeping its data in the children."),
            ("delete commit", "Delete a commit set with its data."),
            ("delete commitV2", "Delete one commit with its data."),
        ),
    ),
    "transactions, metadata": (
        *_family(
            "transaction",
            ("start transaction", "Collect what follows, to be done in one step."),
            ("finish transaction", "Do what a transaction holds, all or nothing."),
            ("stop transaction", "Stop adding to the active transaction; it stays open."),
            ("resume transaction", "Add to an open transaction again."),
            ("inspect transaction", "Show what a transaction holds."),
            ("list transaction", "List open transactions."),
            ("delete transaction", "Forget a transaction; nothing of it happens."),
        ),
        *_family("edit_metadata", ("edit metadata", "Change the keys and values kept with an object.")),
    ),
    "pipelines, jobs, datums": (
        *_family(
            "create_pipeline",
            ("create pipeline", "Create pipelines from a spec."),
            ("update pipeline", "Update pipelines from a spec."),
        ),
        *_family(
            "pipeline",
            ("inspect pipeline", "Show a pipeline."),
            ("list pipeline", "List pipelines."),
            ("delete pipeline", "Delete a pipeline."),
            ("start pipeline", "Let a stopped pipeline run again."),
            ("stop pipeline", "Stop a pipeline."),
            ("rerun pipeline", "Run a pipeline's newest commits again."),
            ("run cron", "Tick a pipeline's cron inputs now."),
        ),
        *_family(
            "backfill",
            ("backfill", "Make the ticks of a cron input that a span of time lacks (pachlet's own)."),
        ),
        *_family("edit_pipeline", ("edit pipeline", "Change a pipeline's spec in an editor.")),
        *_family(
            "validate_pipeline", ("validate pipeline", "Tell whether a spec is valid, without a server.")
        ),
        *_family("draw_pipeline", ("draw pipeline", "Draw the pipelines and what they read.")),
        *_family(
            "job",
            ("inspect job", "Show a job."),
            ("list job", "List jobs or job sets."),
            ("wait job", "Wait until a job, or a job set, is over."),
            ("subscribe job", "Show a pipeline's jobs as they come."),
            ("stop job", "Stop a job."),
            ("delete job", "Delete the record of a job."),
        ),
        *_family(
            "datum",
            ("inspect datum", "Show a datum."),
            ("list datum", "List the datums of a job, or of a spec."),
            ("restart datum", "Start running datums again."),
        ),
        *_family("logs", ("logs", "Show what steps printed.")),
        *_family(
            "check_status",
            ("check status", "Show which pipelines have worked for longer than was expected of them."),
        ),
        *_family(
            "secret",
            ("create secret", "Keep a secret for steps."),
            ("inspect secret", "Show a secret, without its values."),
            ("list secret", "List secrets."),
            ("delete secret", "Delete a secret."),
        ),
        *_family(
            "defaults",
            ("create defaults", "Set what all specs share, of the cluster or a project."),
            ("inspect defaults", "Show what all specs share."),
            ("update defaults", "Change what all specs share."),
            ("delete defaults", "Forget what all specs share."),
        ),
    ),
    "projects, server, configuration": (
        *_family(
            "project",
            ("create project", "Create a project."),
            ("update project", "Change a project's description."),
            ("inspect project", "Show a project."),
            ("list project", "List projects."),
            ("delete project", "Delete a project with all that is in it."),
        ),
        *_family(
            "cluster",
            ("version", "Show the versions of this program and of the server."),
            ("inspect cluster", "Show the server's identity."),
            ("delete all", "Delete everything on the server."),
        ),
        *_family("fsck", ("fsck", "Look for damage in what the server stores.")),
        *_family("connect", ("connect", "Choose the server to talk to.")),
        *_family(
            "config",
            ("config get", "Show a part of the configuration."),
            ("config set", "Set a part of the configuration."),
            ("config update", "Change a context."),
            ("config delete", "Delete a context."),
            ("config list", "List contexts."),
        ),
        *_family(
            "completion",
            ("completion bash", "Print or install what completes words in bash."),
            ("completion zsh", "Print or install what completes words in zsh."),
            ("completion fish", "Print or install what completes words in fish."),
        ),
    ),
    "pachlet's own": (
        *_family("serve", ("serve", "Run the server.")),
        *_family("stop", ("stop", "Stop the server.")),
        *_family("worker", ("worker", "Run datums for a server, in a process of its own.")),
        *_family("new_pipeline", ("new pipeline", "Write a pipeline to begin with.")),
        *_family("lint", ("lint", "Find what is wrong with specs, and mend it.")),
        *_family("render", ("render", "Show the specs that a template gives.")),
        *_family("apply", ("apply", "Create or update pipelines where their spec or code changed.")),
        *_family(
            "deploy", ("deploy", "Send repos, data and pipelines to another server, images to a registry.")
        ),
        *_family("import_pachyderm", ("import", "Copy repos and specs from another Pachyderm 2.x.")),
        *_family("import_dvc", ("import dvc", "Write pipelines that do what a DVC project's stages do.")),
        *_family("why", ("why", "Say why a datum ran or was kept.")),
        *_family("trace", ("trace", "Show all that a file was made of, or all that was made of it.")),
        *_family("blame", ("blame", "Say what differs between how two files came about.")),
        *_family(
            "debug_datum",
            ("debug datum", "Open a shell where a datum ran, or run it here once more."),
            ("try", "Run one datum of a spec here, before there is a pipeline."),
        ),
        *_family("verify", ("verify", "Run datums again, and tell where the result is not what is stored.")),
        *_family(
            "promote",
            ("promote", "Move a branch that others read to a commit, with a reason."),
            ("rollback", "Move such a branch back to where it was before."),
            ("list promotion", "Show what was promoted to a branch, by whom and why."),
        ),
        *_family("notify", ("notify", "Send a mail or a message when a job set breaks.")),
        *_family("du", ("du", "Show what each repo takes on disk.")),
        *_family("gc", ("gc", "Give back the space of what was deleted.")),
        *_family("purge", ("purge", "Remove the bytes of files everywhere; a tombstone stays.")),
        *_family("backup", ("backup", "Write all that the server keeps into a folder.")),
        *_family("restore", ("restore", "Make a data directory of a backup.")),
    ),
}

VERBS: dict[tuple[str, ...], Verb] = {verb.words: verb for family in FAMILIES.values() for verb in family}


def find(words: list[str]) -> Verb | None:
    """Return the verb at the start of what was typed; nouns may be in the plural, as in pachctl."""
    for count in (2, 1):
        typed = tuple(words[:count])
        if len(typed) == count:
            for candidate in (typed, (*typed[:-1], typed[-1].removesuffix("s"))):
                if candidate in VERBS:
                    return VERBS[candidate]
            if count == 2 and typed[1] == "branches":
                return VERBS.get((typed[0], "branch"))
    return None


def similar(words: list[str]) -> list[str]:
    """Return the verbs that somebody who typed this may have meant, the likeliest first."""
    import difflib

    known = [verb.name for verb in VERBS.values()]
    if not words:
        return []
    if len(words) == 1:  # the half of a verb
        halves = [name for name in known if words[0].removesuffix("s") in name.split()]
        return halves[:6] or difflib.get_close_matches(words[0], known, n=3, cutoff=0.6)
    two = difflib.get_close_matches(" ".join(words[:2]), known, n=3, cutoff=0.6)
    return two or [name for name in known if name.startswith(words[0] + " ")][:6]
