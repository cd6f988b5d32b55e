-- store_bench.lua - durable writes, reads and objects, beside what SQLite itself does here.
--
-- So many fibers at once (1, 4, 16, 64) each write one row of 200 bytes a transaction, and wait for its acknowledgement. The floor is
-- a bare loop over SQLite's C interface in the same process, on the same file system and with the same pragmas, that commits as
-- many rows at a time. Prints a table and writes build/bench/store.json.
local db, fiber, json, objects, time = require "db", require "fiber", require "json", require "objects", require "time"
local host = require "host"
local ffi = require "ffi"

local seconds = tonumber(os.getenv "STANCE_BENCH_SECONDS" or 1)
local payload = ("x"):rep(200)
local insert = "INSERT INTO bench (at, payload) VALUES (?, ?)"

local results = {}

local function report(name, value, unit)
  results[#results + 1] = { name = name, value = value, unit = unit }
  print(("%-52s %12.2f %s"):format(name, value, unit))
end

local function percentile(sorted, share) return sorted[math.max(1, math.ceil(#sorted * share))] end

--- Runs `work` again and again in `count` fibers; returns how often a second, and the times it took, sorted, in ms.
local function measure(count, work)
  local took, tasks, start = {}, {}, time.monotonic()
  for i = 1, count do
    tasks[i] = fiber.spawn(function()
      repeat
        local before = time.monotonic()
        work()
        took[#took + 1] = (time.monotonic() - before) * 1000
      until time.monotonic() - start >= seconds
    end)
  end
  for _, task in ipairs(tasks) do assert(task:join()) end
  local lasted = time.monotonic() - start
  table.sort(took)
  return #took / lasted, took
end

ffi.cdef [[
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_open(const char *path, sqlite3 **db);
int sqlite3_exec(sqlite3 *db, const char *sql, void *callback, void *arg, char **message);
int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **statement, const char **tail);
int sqlite3_bind_double(sqlite3_stmt *statement, int index, double value);
int sqlite3_bind_text(sqlite3_stmt *statement, int index, const char *text, int size, void *destructor);
int sqlite3_step(sqlite3_stmt *statement);
int sqlite3_reset(sqlite3_stmt *statement);
int sqlite3_finalize(sqlite3_stmt *statement);
int sqlite3_close(sqlite3 *db);
]]

local function open_bare()
  local box = ffi.new "sqlite3 *[1]"
  assert(ffi.C.sqlite3_open(host.data_dir .. "/floor.db", box) == 0)
  for _, sql in ipairs { "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA cache_size = -2000",
    "CREATE TABLE IF NOT EXISTS bench (id INTEGER PRIMARY KEY, at REAL, payload TEXT)" } do
    assert(ffi.C.sqlite3_exec(box[0], sql, nil, nil, nil) == 0)
  end
  return box[0]
end

--- Rows a second, `group` a commit.
local function floor(group)
  local sqlite, box = open_bare(), ffi.new "sqlite3_stmt *[1]"
  assert(ffi.C.sqlite3_prepare_v2(sqlite, insert, -1, box, nil) == 0)
  local statement, rows, start = box[0], 0, time.monotonic()
  repeat
    ffi.C.sqlite3_exec(sqlite, "BEGIN IMMEDIATE", nil, nil, nil)
    for _ = 1, group do
      ffi.C.sqlite3_bind_double(statement, 1, start)
      ffi.C.sqlite3_bind_text(statement, 2, payload, #payload, nil)
      assert(ffi.C.sqlite3_step(statement) == 101)
      ffi.C.sqlite3_reset(statement)
    end
    assert(ffi.C.sqlite3_exec(sqlite, "COMMIT", nil, nil, nil) == 0)
    rows = rows + group
  until time.monotonic() - start >= seconds
  local lasted = time.monotonic() - start
  ffi.C.sqlite3_finalize(statement)
  ffi.C.sqlite3_close(sqlite)
  return rows / lasted
end

local function write_one() assert(db.transaction { { insert, 1.5, payload, expect = 1 } }) end

local function read_one()
  assert(#assert(db.query("SELECT at, payload FROM bench WHERE id = ?", math.random(1000))) == 1)
end

assert(db.exec "CREATE TABLE bench (id INTEGER PRIMARY KEY, at REAL, payload TEXT)")
for _, count in ipairs { 1, 4, 16, 64 } do
  local bare = floor(count)
  local before = db.stats()
  local rate, took = measure(count, write_one)
  local after = db.stats()
  local rows, commits = after.transactions - before.transactions, after.commits - before.commits
  report(("rows/s, %d at once"):format(count), rate, "1/s")
  report(("  bare SQLite, %d a commit"):format(count), bare, "1/s")
  report("  transactions a commit", rows / commits, "")
  report("  p50 of a transaction", percentile(took, 0.5), "ms")
  report("  p99 of a transaction", percentile(took, 0.99), "ms")
end

for _, count in ipairs { 1, 16 } do
  local rate, took = measure(count, read_one)
  report(("reads/s by key, %d at once"):format(count), rate, "1/s")
  report("  p50 of a read", percentile(took, 0.5), "ms")
  report("  p99 of a read", percentile(took, 0.99), "ms")
end

local number = 0
local function put_one()
  number = number + 1
  assert(objects.put(("%016d"):format(number):rep(4096)))
end
for _, count in ipairs { 1, 4 } do
  local rate, took = measure(count, put_one)
  report(("objects/s of 64 KiB, %d at once"):format(count), rate, "1/s")
  report("  p50 of a put", percentile(took, 0.5), "ms")
  report("  p99 of a put", percentile(took, 0.99), "ms")
end

os.execute "mkdir -p build/bench"
local file = assert(io.open("build/bench/store.json", "w"))
file:write(json.encode { name = "store", results = results }, "\n")
file:close()
