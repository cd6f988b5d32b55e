local db, fiber = require "db", require "fiber"

local insert = "INSERT INTO events (ts, type, job_id, data) VALUES (?, ?, ?, ?)"

describe("db", function()
  before_each(function() assert(db.exec("DELETE FROM events")) end)

  it("gives rows by column name", function()
    assert(db.exec(insert, 1.5, "made", nil, "text"))
    local rows = assert(db.query("SELECT ts, type, job_id, data AS d, 2 AS two FROM events"))
    assert.are.same({ { ts = 1.5, type = "made", d = "text", two = 2 } }, rows)
    assert.are.same({}, assert(db.query("SELECT 1 FROM events WHERE ts > ?", 100)))
  end)

  it("keeps each kind of value", function()
    local values = {
      { 1, "integer", 1 }, { -0.5, "real", -0.5 }, { 2 ^ 53, "integer", 2 ^ 53 }, { 1e300, "real", 1e300 },
      { 1 / 0, "real", 1 / 0 }, { "", "text", "" }, { "a\0b", "text", "a\0b" }, { "12", "text", "12" },
      { true, "integer", 1 }, { false, "integer", 0 }, { db.null, "null", nil }, { db.blob("\0\255"), "blob", "\0\255" },
      { db.blob(""), "blob", "" },
    }
    for _, case in ipairs(values) do
      local row = assert(db.query("SELECT typeof(?1) AS type, ?1 AS value", case[1]))[1]
      assert.are.equal(case[2], row.type)
      assert.are.equal(case[3], row.value)
    end
  end)

  it("takes nil for NULL in any place", function()
    assert(db.transaction {
      { insert, 1, "a", nil, "d" },
      { insert, 2, "b", "j" },
      { insert, 3, "c", nil, nil, n = 4 },
    })
    local rows = assert(db.query("SELECT job_id, data FROM events ORDER BY ts"))
    assert.are.same({ { data = "d" }, { job_id = "j" }, {} }, rows)
    assert.are.equal(3, #assert(db.query("SELECT 1 FROM events WHERE ? IS NULL", nil)))
  end)

  it("reports what each statement did", function()
    local results = assert(db.transaction {
      { insert, 1, "a" },
      { insert .. " RETURNING type, ts * 2 AS double", 2, "b" },
      { "UPDATE events SET data = 'x'", expect = 2 },
      { "SELECT count(*) AS n FROM events WHERE data = 'x'", expect = 1 },
    })
    assert.are.equal(4, #results)
    assert.are.equal(1, results[1].changes)
    assert.are.equal(results[1].last_id + 1, results[2].last_id)
    assert.are.same({ { type = "b", double = 4 } }, results[2].rows)
    assert.are.equal(2, results[3].changes)
    assert.are.same({}, results[3].rows)
    assert.are.equal(2, results[4].rows[1].n)
    assert.are.equal(0, results[4].changes)
    local one = assert(db.exec("DELETE FROM events WHERE ts = ?", 1))
    assert.are.equal(1, one.changes)
  end)

  it("undoes a transaction whose expectation is not met, and says where", function()
    local done, err = db.transaction {
      { insert, 1, "a" },
      { "UPDATE events SET data = 'x' WHERE type = 'none'", expect = 1 },
    }
    assert.is_nil(done)
    assert.are.equal("conflict", err.code)
    assert.are.equal(2, err.statement)
    assert.are.equal("changed 0 rows where 1 were expected", tostring(err))
    done, err = db.transaction { { "SELECT 1 FROM events WHERE type = 'none'", expect = 1 }, { insert, 1, "a" } }
    assert.is_nil(done)
    assert.are.equal("conflict", err.code)
    assert.are.same({}, assert(db.query("SELECT * FROM events")))
  end)

  it("names what is wrong", function()
    assert(db.exec("INSERT OR IGNORE INTO generations (name, created_at, manifest) VALUES ('g', 1, '{}')"))
    for sql, code in pairs {
      ["INSERT INTO generations (name, created_at, manifest) VALUES ('g', 1, '{}')"] = "exists",
      ["INSERT INTO generations (name, created_at, manifest) VALUES (NULL, 1, '{}')"] = "invalid",
      ["INSERT INTO steps (job_id, key) VALUES ('none', 'k')"] = "conflict",
      ["SELEKT 1"] = "invalid",
      ["DELETE FROM events WHERE ts = ?"] = "invalid",
      ["COMMIT"] = "denied",
      ["PRAGMA synchronous = OFF"] = "denied",
      ["SELECT 1; SELECT 2"] = "invalid",
    } do
      local result, err = db.exec(sql)
      assert.is_nil(result)
      assert.are.equal(code, err.code, sql)
    end
    local rows, err = db.query("DELETE FROM events")
    assert.is_nil(rows)
    assert.are.equal("denied", err.code)
  end)

  it("raises for what it cannot take", function()
    assert.has_error(function() db.query(12) end)
    assert.has_error(function() db.query("SELECT ?", {}) end)
    assert.has_error(function() db.query("SELECT ?", 0 / 0) end)
    assert.has_error(function() db.query("SELECT 1\0") end)
    assert.has_error(function() db.transaction({}) end)
    assert.has_error(function() db.transaction({ "SELECT 1" }) end)
    assert.has_error(function() db.transaction({ { insert, print } }) end)
    assert.has_error(function() db.transaction({ { insert, 1, "a", expect = "one" } }) end)
  end)

  it("runs several transactions, each for itself, in order", function()
    local outcomes = assert(db.transactions {
      { { insert, 1, "a" } },
      { { insert, 2, "b" }, { "UPDATE events SET data = 'x' WHERE type = 'none'", expect = 1 } },
      { { "SELECT 1 FROM events WHERE type = 'a'", expect = 1 }, { insert, 3, "c" } },
      { { "SELECT 1 FROM events WHERE type = 'b'", expect = 1 } },
    })
    assert.are.same({ true, true }, { outcomes[1], outcomes[3] })
    assert.are.same({ "conflict", 2 }, { outcomes[2].code, outcomes[2].statement })
    assert.are.same({ "conflict", 1 }, { outcomes[4].code, outcomes[4].statement })
    assert.are.same({ { type = "a" }, { type = "c" } }, assert(db.query "SELECT type FROM events ORDER BY seq"))
    assert.are.same({ true }, db.memory().transactions { { { insert, 1, "a" } } })
    for _, bad in ipairs { {}, { {} }, { { "SELECT 1" } }, { { { insert, 1, "a" } }, { { insert, {}, "b" } } }, 7 } do
      assert.has_error(function() db.transactions(bad) end)
    end
    assert.are.equal(2, #db.query "SELECT 1 FROM events")
  end)

  it("reads several statements on one snapshot", function()
    assert(db.exec(insert, 1, "a", nil, nil))
    local results = assert(db.read { { "SELECT count(*) AS n FROM events" }, { "SELECT type FROM events WHERE ts = ?", 1 } })
    assert.are.equal(1, results[1].rows[1].n)
    assert.are.equal("a", results[2].rows[1].type)
    local none, err = db.read { { "SELECT 1" }, { "DELETE FROM events" } }
    assert.is_nil(none)
    assert.are.equal("denied", err.code)
    assert.are.equal(2, err.statement)
  end)

  context("with many fibers", function()
    it("lets each see its own write, and commits in groups", function()
      local before = db.stats()
      local tasks = {}
      for i = 1, 200 do
        tasks[i] = fiber.spawn(function()
          local result = assert(db.transaction { { insert, i, "many", "job" .. i % 7 } })
          local rows = assert(db.query("SELECT ts FROM events WHERE seq = ?", result[1].last_id))
          return rows[1].ts
        end)
      end
      for i, task in ipairs(tasks) do
        local ok, ts = task:join()
        assert.is_true(ok)
        assert.are.equal(i, ts)
      end
      local after = db.stats()
      assert.are.equal(200, after.transactions - before.transactions)
      assert.is_true(after.commits - before.commits < 200)
      assert.are.equal(0, after.queued)
    end)

    it("fails alone", function()
      local tasks, failed = {}, 0
      for i = 1, 50 do
        tasks[i] = fiber.spawn(function()
          return db.transaction {
            { insert, i, "alone" },
            { "UPDATE events SET data = 1 WHERE ts = ?", i % 5 == 0 and -1 or i, expect = 1 },
          }
        end)
      end
      for _, task in ipairs(tasks) do
        local _, done = task:join()
        if not done then failed = failed + 1 end
      end
      assert.are.equal(10, failed)
      assert.are.equal(40, #assert(db.query("SELECT 1 FROM events")))
    end)

    it("survives fibers that are cancelled while they wait", function()
      for _ = 1, 20 do
        local writer = fiber.spawn(function() db.exec(insert, 1, "cancelled", nil, nil) end)
        local reader = fiber.spawn(function() db.query("SELECT * FROM events") end)
        writer:cancel()
        reader:cancel()
        assert.is_false((writer:join()))
        assert.is_false((reader:join()))
      end
      assert(db.exec(insert, 2, "after", nil, nil))
      assert.are.equal(1, #assert(db.query("SELECT 1 FROM events WHERE type = 'after'")))
    end)
  end)
end)

describe("the schema of the job engine", function()
  local submit = "INSERT INTO jobs (id, type, created_at, priority, run_at, idempotency_key, principal) VALUES (?, 'spec', 1, ?, ?, ?, ?)"

  before_each(function() assert(db.exec("DELETE FROM jobs WHERE type = 'spec'")) end)
  after_each(function() assert(db.exec("DELETE FROM jobs WHERE type = 'spec'")) end)

  it("takes an idempotency key once for each principal", function()
    assert(db.exec(submit, "s1", 0, 0, "k", "ann"))
    assert(db.exec(submit, "s2", 0, 0, "k", "bob"))
    assert(db.exec(submit, "s3", 0, 0, nil, "ann"))
    assert(db.exec(submit, "s4", 0, 0, nil, "ann"))
    assert(db.exec(submit, "s5", 0, 0, "k", nil))
    for _, principal in ipairs { "ann", db.null } do
      local result, err = db.exec(submit, "s6", 0, 0, "k", principal)
      assert.is_nil(result)
      assert.are.equal("exists", err.code)
    end
  end)

  it("finds what to claim without a search or a sort", function()
    local plan = assert(db.query([[EXPLAIN QUERY PLAN SELECT id FROM jobs
      WHERE status = 'pending' AND generation = ? AND run_at <= ? ORDER BY priority DESC, seq LIMIT 1]], "g", 5))
    assert.are.equal(1, #plan)
    assert.is_truthy(plan[1].detail:find("jobs_claim", 1, true))
    assert(db.exec(submit, "s1", 0, 0, nil, nil))
    assert(db.exec(submit, "s2", 5, 0, nil, nil))
    assert(db.exec(submit, "s3", 5, 0, nil, nil))
    assert(db.exec(submit, "s4", 9, 100, nil, nil))
    local rows = assert(db.query([[SELECT id FROM jobs WHERE status = 'pending' AND type = 'spec' AND run_at <= 5
      ORDER BY priority DESC, seq]]))
    assert.are.same({ { id = "s2" }, { id = "s3" }, { id = "s1" } }, rows)
  end)

  it("removes what belongs to a job with it", function()
    assert(db.exec(submit, "s1", 0, 0, nil, nil))
    assert(db.transaction {
      { "INSERT INTO steps (job_id, key) VALUES ('s1', 'k')" },
      { "INSERT INTO artifacts (job_id, name, hash, size, created_at) VALUES ('s1', 'a', 'h', 1, 1)" },
      { "INSERT INTO signals (job_id, name, created_at) VALUES ('s1', 'go', 1)" },
      { "DELETE FROM jobs WHERE id = 's1'", expect = 1 },
    })
    for _, name in ipairs { "steps", "artifacts", "signals" } do
      assert.are.same({}, assert(db.query("SELECT 1 FROM " .. name .. " WHERE job_id = 's1'")))
    end
  end)
end)

describe("a database in memory", function()
  local memory
  local keep, all = "INSERT INTO scripts (hash, text) VALUES (?, ?)", "SELECT hash, text FROM scripts ORDER BY hash"

  before_each(function() memory = assert(db.memory()) end)

  it("has the schema, and is nobody else's", function()
    assert(memory.exec(keep, "a", "text"))
    assert.are.same({ { hash = "a", text = "text" } }, memory.query(all))
    assert.are.same({}, assert(db.memory()).query(all))
    assert.are.same({}, db.query("SELECT 1 FROM scripts WHERE hash = 'a'"))
  end)

  it("runs a transaction whole or not at all", function()
    assert(memory.exec(keep, "a", "text"))
    local done, why = memory.transaction { { "DELETE FROM scripts" }, { keep, "b", "x" }, { "SELECT 1 FROM jobs", expect = 1 } }
    assert.is_nil(done)
    assert.are.same({ "conflict", 3 }, { why.code, why.statement })
    assert.are.equal("a", memory.query(all)[1].hash)
    done = assert(memory.transaction { { keep, "b", "x" }, { "UPDATE scripts SET text = 'y'" }, { all } })
    assert.are.same({ 1, 2, 2 }, { done[1].changes, done[2].changes, #done[3].rows })
    assert.are.equal(2, #memory.read({ { all } })[1].rows)
  end)

  it("refuses what the database refuses", function()
    local cases = { denied = { "query", keep, "a", "x" }, exists = { "exec", keep, "a", "x" }, invalid = { "query", "SELECT" } }
    assert(memory.exec(keep, "a", "x"))
    for code, case in pairs(cases) do
      local done, why = memory[case[1]](unpack(case, 2))
      assert.is_nil(done)
      assert.are.equal(code, why.code)
    end
    assert.has_error(function() memory.exec(keep, {}, "x") end)
  end)

  it("does not wait: it answers outside a fiber", function()
    assert.are.same({}, coroutine.wrap(function() return memory.query(all) end)())
  end)
end)
