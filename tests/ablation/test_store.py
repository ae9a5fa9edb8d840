"""The store: exact, reused, shared by processes, and never damaged."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spexlens as sx
from spexlens.ablation import store_file
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.ablation.store import Store
from spexlens.ablation.store_rows import seal
from spexlens.core.game import fingerprint, game_facts
from spexlens.core.masks import all_masks, pack_masks, sample_masks
from spexlens.errors import SpexlensWarning, StoreError

WEIGHTS = np.array([1.0, -2.0, 0.5])


def named(function=lambda masks: masks @ WEIGHTS, name="weights", players=3):
    return sx.FunctionGame(function, players, name=name)


def forbidden(masks):
    raise AssertionError("a value that is in the store was measured again")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "values.db")


@settings(max_examples=25)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=16, max_size=16),
    st.sampled_from([(8,), (8, 1), (8, 2)]),
)
def test_values_come_back_bit_by_bit_in_their_shape(tmp_path_factory, numbers, shape):
    store = Store(tmp_path_factory.mktemp("store") / "values.db")
    values = np.array(numbers[: int(np.prod(shape))]).reshape(shape)
    masks = all_masks(3)
    measure(named(sx.TableGame(masks, values)), masks, batch_size=3, store=store)
    again = measure(named(forbidden), masks[::-1], store=store)
    assert again.values.shape == shape
    assert again.values.tobytes() == values[::-1].tobytes()
    assert (again.calls, again.reused) == (0, 8)


def test_the_sign_of_zero_is_kept(store):
    evaluate(named(lambda masks: np.full(len(masks), -0.0)), all_masks(3), store=store)
    assert np.signbit(evaluate(named(forbidden), all_masks(3), store=store)).all()


def test_only_what_is_missing_is_measured(store):
    seen = []

    def function(masks):
        seen.extend(masks.tolist())
        return masks @ WEIGHTS

    masks = all_masks(3)
    evaluate(named(), masks[[5, 2]], store=store)
    told = []
    measured = measure(
        named(function), masks, store=store, batch_size=4, progress=lambda *a: told.append(a)
    )
    assert seen == masks[[0, 1, 3, 4, 6, 7]].tolist()
    assert measured.values.tolist() == (masks @ WEIGHTS).tolist()
    assert (measured.calls, measured.reused) == (6, 2)
    assert told == [(0, 6), (4, 6), (6, 6)]


def test_games_do_not_share_values(store):
    masks = all_masks(3)
    evaluate(named(), masks, store=store)
    for other in (named(name="other"), named(players=["a", "b", "c"])):
        assert measure(other, masks, store=store).calls == 8
    assert [game.count for game in store.games()] == [8, 8, 8]


def test_a_game_without_identity_is_told_before_any_call(store):
    with pytest.raises(sx.InvalidInputError, match="without a name"):
        evaluate(sx.FunctionGame(forbidden, 3), all_masks(3), store=store)
    with pytest.raises(sx.InvalidInputError, match="FourierSpectrum does not say what"):
        evaluate(sx.FourierSpectrum.from_dict({(0,): 1.0}, n=3), all_masks(3), store=store)
    assert not Path(store.path).exists()


def test_another_number_of_outputs_is_told_and_kept_out(store):
    masks = all_masks(3)
    evaluate(named(), masks[:4], store=store)
    two = named(lambda masks: np.ones((len(masks), 2)))
    with pytest.raises(sx.errors.InvalidValuesError, match="same number of outputs"):
        evaluate(two, masks, store=store)
    with pytest.raises(sx.errors.InvalidValuesError, match=r"returns 2 outputs.* holds 1") as error:
        evaluate(two, masks[4:], store=store)
    assert error.value.values.shape == (4, 2)
    assert store.games()[0].count == 4


def test_games_are_listed_found_read_and_removed(store):
    masks = sample_masks(70, 20, np.random.default_rng(0))
    wide = sx.FunctionGame(lambda m: m.sum(axis=1), 70, name="wide")
    evaluate(named(), all_masks(3), store=store)
    evaluate(wide, masks, store=store)
    game = store.find(fingerprint(wide)[:8])
    assert (game.count, len(game.players), game.description) == (20, 70, "function · wide")
    read, values = store.read(game)
    assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, masks.tolist()))
    assert (values == read.sum(axis=1)).all()
    store.remove(game)
    assert [left.description for left in store.games()] == ["function · weights"]
    with pytest.raises(sx.InvalidInputError, match=f"0 games.*{fingerprint(named())[:12]}"):
        store.find(game.fingerprint)
    store.remove(store.find(""))
    with pytest.raises(sx.InvalidInputError, match="no games"):
        store.find("")


def test_a_game_removed_while_it_is_measured_is_told_and_its_place_stays_empty(store):
    def progress(done, total):
        if done == 4:
            store.remove(store.find(""))
            evaluate(named(name="other"), all_masks(3)[:1], store=store)

    with pytest.raises(sx.errors.AblationError, match="was removed from") as error:
        evaluate(named(), all_masks(3), batch_size=4, store=store, progress=progress)
    assert error.value.calls == 8
    assert [(game.description, game.count) for game in store.games()] == [("function · other", 1)]


@pytest.mark.parametrize("content", [b"not a database, not by far" * 40, None])
def test_a_file_that_is_no_store_is_told_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "other"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE recipes (name TEXT)")
        db.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    for use in (lambda s: evaluate(named(forbidden), all_masks(3), store=s), Store.games):
        with pytest.raises(StoreError, match="give another path"):
            use(Store(path))
    assert path.read_bytes() == before


def test_a_store_of_another_version_is_told_and_left_as_it_is(store):
    evaluate(named(), all_masks(3), store=store)
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = Path(store.path).read_bytes()
    with pytest.raises(StoreError, match="version 99; this spexlens reads up to version 2"):
        store.games()
    assert Path(store.path).read_bytes() == before


def test_a_damaged_store_is_told(store):
    n = 40
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), n, name="wide")
    masks = sample_masks(n, 3000, np.random.default_rng(0))
    evaluate(game, masks[:2000], store=store)
    content = bytearray(Path(store.path).read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    Path(store.path).write_bytes(content)
    with pytest.raises(StoreError, match=r"malformed.*damaged"):
        evaluate(game, masks, store=store)


@pytest.mark.parametrize("path", ["absent/values.db", "file/values.db", "folder"])
def test_a_path_that_cannot_hold_a_store_is_told(tmp_path, path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"no folder|unable to open"):
        evaluate(named(forbidden), all_masks(3), store=Store(tmp_path / path))
    with pytest.raises(StoreError, match="there is no store"):
        Store(tmp_path / "nothing.db").games()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, even from root")
def test_a_folder_that_cannot_be_written_is_told():
    with pytest.raises(StoreError, match="can be written"):
        evaluate(named(forbidden), all_masks(3), store=Store("/proc/values.db"))


def test_a_full_disk_loses_nothing(tmp_path):
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), 40, name="wide")
    masks = sample_masks(40, 4000, np.random.default_rng(0))
    store = Store(tmp_path / "values.db", max_bytes=65536)
    with pytest.raises(sx.errors.AblationError, match="What it held before is safe") as error:
        evaluate(game, masks, batch_size=100, store=store)
    assert isinstance(error.value.__cause__, StoreError)
    kept = store.games()[0].count
    assert 0 < kept < 4000
    assert error.value.calls == kept + 100  # the batch that did not fit is on the error
    assert (error.value.values == error.value.masks.sum(axis=1)).all()
    roomy = Store(store.path)
    assert measure(game, masks, store=roomy).reused == kept
    assert roomy.games()[0].count == 4000


WRITER = """
import sys, numpy as np, spexlens as sx
from spexlens.ablation.evaluate import measure
from spexlens.ablation.store import Store
from spexlens.core.masks import all_masks
path, seed = sys.argv[1], int(sys.argv[2])
order = np.random.default_rng(seed).permutation(512)
game = sx.FunctionGame(lambda m: m @ (2.0 ** np.arange(9)), 9, name="bits")
values = measure(game, all_masks(9)[order], batch_size=8, store=Store(path)).values
assert (values == order).all()
"""


@pytest.mark.parametrize("shape", [(8,), (8, 2)])
@pytest.mark.parametrize("damage", ["value", "checksum", "short", "text", "nan", "shape"])
def test_a_damaged_row_is_told_measured_again_and_mended(store, shape, damage):
    masks = all_masks(3)
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    evaluate(named(sx.TableGame(masks, values)), masks, store=store)
    with sqlite3.connect(store.path) as db:
        ((key, stored),) = db.execute("SELECT mask, value FROM ablations LIMIT 1 OFFSET 3")
        new = {
            "value": stored[:3] + bytes([stored[3] ^ 1]) + stored[4:],
            "checksum": stored[:-1] + bytes([stored[-1] ^ 128]),
            "short": stored[1:],
            "text": "five",
            "nan": np.full(stored.__len__() // 8, np.nan).tobytes() + stored[-4:],
        }.get(damage)
        if new is None:
            db.execute("UPDATE games SET outputs = NULL")
        else:
            db.execute("UPDATE ablations SET value = ? WHERE mask = ?", (new, key))
    db.close()
    count = 8 if damage == "shape" else 1
    with pytest.warns(SpexlensWarning, match=f"{count} values of .* damaged.*left out"):
        assert len(store.read(store.games()[0])[0]) == 8 - count
    with pytest.warns(SpexlensWarning, match=f"{count} values of .* damaged.*measured again"):
        again = measure(named(sx.TableGame(masks, values)), masks, store=store)
    assert (again.calls, again.reused) == (count, 8 - count)
    assert again.values.tobytes() == values.tobytes()
    assert measure(named(forbidden), masks, store=store).values.tobytes() == values.tobytes()


def test_a_damaged_number_of_outputs_takes_no_memory(store):
    masks = all_masks(3)
    evaluate(named(), masks, store=store)
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("UPDATE games SET outputs = ?", (2**24,))  # 128 MB a mask
    tracemalloc.start()
    with pytest.warns(SpexlensWarning, match="8 values of .* damaged"):
        store.read(store.games()[0])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    many = sx.FunctionGame(lambda m: np.zeros((len(m), 1_000_001)), 3, name="many")
    with pytest.raises(sx.errors.SpexlensError, match="1,000,001 outputs a mask; a store holds"):
        measure(many, masks[:1], store=store)


def test_a_row_that_came_to_stand_elsewhere_is_no_value(store):
    masks = all_masks(3)
    for game in (named(), named(lambda m: 9.0 * m[:, 0], name="other")):
        evaluate(game, masks, store=store)
    with sqlite3.connect(store.path) as db:
        for row in (1, 2):
            blobs = db.execute("SELECT mask, value FROM ablations WHERE game = 3 - ?", (row,))
            for key, stored in blobs.fetchall()[: 4 * row]:
                db.execute(
                    "UPDATE ablations SET value = ? WHERE game = ? AND mask = ?", (stored, row, key)
                )
    db.close()
    with pytest.warns(SpexlensWarning, match="4 values"):
        assert (evaluate(named(), masks, store=store) == masks @ WEIGHTS).all()


def test_damaged_facts_of_a_game_are_told_and_its_values_not_given_to_another(store):
    evaluate(named(), all_masks(3), store=store)
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE games SET facts = replace(facts, 'weights', 'weightz')")
    db.close()
    with pytest.warns(SpexlensWarning, match="1 of 1 games .* damaged"):
        assert store.games() == ()


@pytest.mark.parametrize("length", [0.001, 0.02, 0.3, 0.6, 0.99])
def test_a_cut_file_is_told_and_left_as_it_is(store, length):
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), 40, name="wide")
    masks = sample_masks(40, 3000, np.random.default_rng(0))
    evaluate(game, masks[:2000], store=store)
    path = Path(store.path)
    before = path.read_bytes()[: int(length * path.stat().st_size)]
    path.write_bytes(before)
    for use in (lambda: evaluate(game, masks, store=store), store.games):
        with pytest.raises(StoreError, match=r"malformed|not a store"):
            use()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_large_file_that_is_cut_is_told_by_its_length(store, monkeypatch):
    monkeypatch.setattr(store_file, "_CHECKED_BYTES", 4096)
    evaluate(named(), all_masks(3), store=store)
    path = Path(store.path)
    whole = path.read_bytes()
    for cut, told in ((1, "its end is missing"), (4096, "malformed")):
        path.write_bytes(whole[:-cut])
        with pytest.raises(StoreError, match=told):
            store.games()


def version_one(path, values):
    """A store as spexlens wrote it before rows had checksums: this game's values of all masks."""
    facts = game_facts(named())
    with sqlite3.connect(path) as db:
        db.executescript(
            """CREATE TABLE games (
            id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT UNIQUE NOT NULL,
            facts TEXT NOT NULL, outputs INTEGER, first TEXT NOT NULL, last TEXT NOT NULL);
            CREATE TABLE ablations (
            game INTEGER NOT NULL REFERENCES games(id), mask BLOB NOT NULL, value BLOB NOT NULL,
            PRIMARY KEY (game, mask)) WITHOUT ROWID;
            PRAGMA application_id = 0x53504C58; PRAGMA user_version = 1;
            PRAGMA journal_mode = WAL"""
        )
        db.execute(
            "INSERT INTO games VALUES (NULL, ?, ?, ?, '2026', '2026')",
            (fingerprint(named()), facts, 0 if values.ndim == 1 else values.shape[1]),
        )
        for key, value in zip(pack_masks(all_masks(3)), values, strict=True):
            db.execute("INSERT INTO ablations VALUES (1, ?, ?)", (key.tobytes(), value.tobytes()))
    db.close()


@pytest.mark.parametrize("shape", [(8,), (8, 2)])
def test_a_store_of_before_is_read_and_gets_checksums(store, shape):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    values[3] = np.nan
    version_one(store.path, values)
    kept = ~np.isnan(values.reshape(8, -1)[:, 0])
    assert store.games()[0].count == 8
    with pytest.warns(SpexlensWarning, match="1 values"):
        assert (store.read(store.games()[0])[1] == values[kept]).all()
    with pytest.warns(SpexlensWarning, match="1 values of .*measured again"):
        again = measure(named(lambda m: np.zeros((len(m), *shape[1:]))), all_masks(3), store=store)
    assert (again.calls, again.reused) == (1, 7)
    assert (again.values[kept] == values[kept]).all()
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()
    assert measure(named(forbidden), all_masks(3), store=store).reused == 8


READER = """
import os, sys, numpy as np, spexlens as sx
from spexlens.core.masks import all_masks
def forbidden(masks):
    raise AssertionError
game, other = (sx.FunctionGame(forbidden, 9, name=name) for name in ("bits", "other"))
store, copy, user = sx.Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sx.measure  # imported before
if user:
    os.setuid(user)  # root may write everything
masks, values = store.read(store.games()[0])
assert len(masks) == 512 and (values == masks @ (2.0 ** np.arange(9))).all()
assert sx.measure(game, all_masks(9), store=store).reused == 512
store.copy(copy)
try:
    sx.measure(other, all_masks(9), store=store)
except sx.errors.StoreError as error:
    assert "0 of 512 values" in str(error), error
else:
    raise AssertionError("a store that cannot be written took a run")
"""


def killed_store(path, count):
    """Write a store of 512 values, the last `count` in its -wal alone, as a kill leaves it."""
    bits = sx.FunctionGame(lambda m: m @ (2.0 ** np.arange(9)), 9, name="bits")
    whole = Store(path.with_name("whole.db"))
    measure(bits, all_masks(9)[: 512 - count], store=whole)
    with closing(sqlite3.connect(whole.path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        masks = all_masks(9)[512 - count :]
        for key, value in zip(pack_masks(masks), bits(masks), strict=True):
            sealed = seal(fingerprint(bits), 0, key.tobytes(), value.tobytes())
            db.execute("INSERT INTO ablations VALUES (1, ?, ?)", (key.tobytes(), sealed))
        for part in whole.parts:
            shutil.copyfile(part, path.with_name(part.name.replace("whole.db", path.name)))
    return Store(path)


def test_a_file_with_its_wal_is_told_to_belong_together_until_it_is_opened(tmp_path):
    store = killed_store(tmp_path / "values.db", 12)
    assert [part.name for part in store.parts] == ["values.db", "values.db-wal"]
    assert store.games()[0].count == 512
    assert [part.name for part in store.parts] == ["values.db"]
    assert not (tmp_path / "values.db-wal").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("count", [0, 12], ids=["alone", "with its -wal"])
def test_a_store_on_a_read_only_disk_is_read_and_copied(tmp_path, count):
    made = killed_store(tmp_path / "values.db", count)
    with TemporaryDirectory() as top:
        folder, other = Path(top) / "disk", Path(top) / "other"
        folder.mkdir()
        other.mkdir()
        for part in made.parts:
            shutil.copyfile(part, folder / part.name)
        other.chmod(0o777)
        folder.chmod(0o555)
        Path(top).chmod(0o755)
        user = 65534 if os.geteuid() == 0 else 0
        arguments = [folder / "values.db", other / "copy.db", str(user)]
        subprocess.run([sys.executable, "-c", READER, *arguments], check=True, timeout=60)
        assert [part.name for part in other.iterdir()] == ["copy.db"]
        assert Store(other / "copy.db").games()[0].count == 512
        folder.chmod(0o755)


def test_a_copy_holds_all_and_takes_no_file_away(store, tmp_path):
    evaluate(named(), all_masks(3), store=store)
    copied = Store(store.copy(tmp_path / "copy.db"))
    assert measure(named(forbidden), all_masks(3), store=copied).reused == 8
    with pytest.raises(StoreError, match="exists"):
        store.copy(tmp_path / "copy.db")
    with pytest.raises(StoreError, match="no folder"):
        store.copy(tmp_path / "absent" / "copy.db")
    with pytest.raises(StoreError, match="no store"):
        Store(tmp_path / "absent.db").copy(tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()


def test_processes_share_a_store_from_its_first_moment(store):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, store.path, str(seed)]) for seed in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    masks, values = store.read(store.games()[0])
    assert len(masks) == 512
    assert (values == masks @ (2.0 ** np.arange(9))).all()


RUN = """
import sys, time, numpy as np, spexlens as sx
from spexlens.ablation.evaluate import measure
from spexlens.ablation.store import Store
from spexlens.core.masks import sample_masks
store, calls, out = sys.argv[1:]
def function(masks):
    with open(calls, "a") as file:
        file.write(f"{len(masks)}\\n")
    time.sleep(0.02)
    return np.sqrt(masks @ np.arange(1.0, 31.0))
masks = sample_masks(30, 600, np.random.default_rng(0))
game = sx.FunctionGame(function, 30, name="roots")
np.save(out, measure(game, masks, batch_size=20, store=Store(store)).values)
"""


def test_a_killed_run_goes_on_where_it_stopped_and_its_file_alone_holds_it(tmp_path):
    store, calls, out = (tmp_path / name for name in ("values.db", "calls", "out.npy"))
    rng = np.random.default_rng(1)
    kills = 0
    while True:
        process = subprocess.Popen([sys.executable, "-c", RUN, store, calls, out])
        if kills < 5:
            before = calls.stat().st_size if calls.exists() else 0
            while not calls.exists() or calls.stat().st_size == before:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.12))
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
            process.wait()
            alone = Store(shutil.copyfile(store, tmp_path / f"alone{kills}.db"))
            measured = sum(map(int, calls.read_text().split()))
            assert alone.games()[0].count >= measured - kills * 20 - 4 * 20
        if process.wait() == 0:
            break
    masks = sample_masks(30, 600, np.random.default_rng(0))
    undisturbed = np.sqrt(masks @ np.arange(1.0, 31.0))
    assert np.load(out).tobytes() == undisturbed.tobytes()
    extra = sum(map(int, calls.read_text().split())) - 600
    assert 0 <= extra <= 5 * 20


def test_a_path_is_as_good_as_a_store(tmp_path):
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1) * 1.0, 5, name="sum")
    for store in (str(tmp_path / "values.db"), tmp_path / "values.db"):
        sx.explain(game, 20, "lasso", rng=0, store=store)
    (kept,) = sx.Store(tmp_path / "values.db").games()
    assert kept.count == 20
