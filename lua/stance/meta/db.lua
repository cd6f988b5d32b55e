---@meta db

--- The host's database (SQLite). Open in the host process only; elsewhere every call returns an error with code "unsupported".
---
---     local db = require "db"
---     local rows = assert(db.query("SELECT id, status FROM jobs WHERE type = ? LIMIT ?", "render", 10))
---     for _, row in ipairs(rows) do print(row.id, row.status) end
---
---     local done, err = db.transaction {
---       { "UPDATE jobs SET status = 'processing', epoch = epoch + 1 WHERE id = ? AND epoch = ?", id, epoch, expect = 1 },
---       { "INSERT INTO events (ts, type, job_id) VALUES (?, 'started', ?)", time.now(), id },
---     }
---     if not done and err.code == "conflict" then ... end          -- somebody else has it: nothing was changed
---
--- Every function but `blob` and `stats` waits in its fiber. A write is acknowledged when it is on disk, and a read that starts
--- after that sees it. Writes of different fibers are committed in groups, so that many small ones at once cost little. A write
--- whose fiber is cancelled while it waits may still happen.
---
--- Parameters fill `?` in order: numbers (whole ones become INTEGER), strings (TEXT), booleans (1 and 0), `db.blob(s)` (BLOB), nil
--- or `db.null` (NULL). In rows NULL is nil, TEXT and BLOB are strings. Integers beyond 2^53 lose digits.
---
--- Error codes: "exists" (unique or primary key), "conflict" (an `expect` that was not met, a foreign key), "invalid" (SQL,
--- parameters, NOT NULL and CHECK), "denied" (a query that writes; BEGIN, COMMIT, SAVEPOINT, ATTACH, PRAGMA in a write),
--- "too_large" (rows of more than 64 MiB), "timeout" (a statement of more than 30 s), "busy" (more than 65,536 waiting writes,
--- or another program locks the file), "no_space", "io", "closed".
local db = {}

--- NULL as a value; the same as JSON's null.
---@type lightuserdata
db.null = nil

---@alias db.Value nil|boolean|number|string|lightuserdata|db.Blob

---@class db.Blob

--- What a statement takes: its text, its parameters, and two fields. Parameters that are missing at the end are NULL, so that a
--- nil anywhere is simply NULL; more than the statement has are an error.
---@class db.Statement
---@field [1] string
---@field [integer] db.Value
---@field n? integer  how many parameters follow the text, where that is to be said exactly
---@field expect? integer  rows that it must change (for a SELECT: return), else the transaction fails with code "conflict"

---@class db.Result
---@field rows table<string, any>[]  of SELECT and RETURNING, else empty
---@field changes integer  rows inserted, updated or deleted
---@field last_id integer  rowid of its last insert, else 0

---@class db.Error: stance.Error
---@field statement? integer  which statement failed, from 1; nil when it was the commit

--- Runs one statement that only reads. Takes exactly as many parameters as the statement has.
---@param sql string
---@param ... db.Value
---@return table<string, any>[]? rows  by column name
---@return stance.Error? err
function db.query(sql, ...) end

--- Runs several that only read, all on one snapshot of the database.
---@param statements db.Statement[]
---@return db.Result[]? results  one a statement
---@return db.Error? err
function db.read(statements) end

--- Runs one statement that writes. Takes exactly as many parameters as the statement has.
---@param sql string
---@param ... db.Value
---@return db.Result? result
---@return db.Error? err
function db.exec(sql, ...) end

--- Runs statements in order, all or none: each sees what the earlier ones did. The first that fails undoes all.
---@param statements db.Statement[]
---@return db.Result[]? results  one a statement
---@return db.Error? err
function db.transaction(statements) end

--- Runs several transactions at once, each for itself: one that fails does not undo the others. They are in order, and usually
--- in one commit. What their statements returned is not told.
---@param transactions db.Statement[][]
---@return (true|db.Error)[]? outcomes  one a transaction
---@return stance.Error? err
function db.transactions(transactions) end

--- Marks bytes to be kept as BLOB.
---@param bytes string
---@return db.Blob
function db.blob(bytes) end

--- A database in memory with the host's schema, empty, for tests; in any process. It has `query`, `read`, `exec`, `transaction`,
--- `transactions`, `blob` and `null`, which do what those of this module do, but at once: none waits, and they may be called outside a
--- fiber.
---@return table? database
---@return stance.Error? err
function db.memory() end

---@class db.Stats
---@field transactions integer  acknowledged since the start
---@field failed integer  answered with an error
---@field commits integer  groups committed
---@field largest_group integer  transactions in one commit
---@field queued integer  waiting now
---@field reads integer
---@field readers integer  read connections
---@field schema integer  version
---@field path string  the file

---@return db.Stats? stats
---@return stance.Error? err
function db.stats() end

return db
