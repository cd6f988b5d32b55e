local trace = require "stance.trace"

local row = { id = "j", type = "render", status = "completed", created_at = 1000, ended_at = 1010,
  traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }

local function database(events, steps, children)
  return { query = function(sql) return sql:find "FROM events" and events or sql:find "FROM steps" and steps or children end }
end

describe("the timeline of a job", function()
  it("has what happened in order, with what each took", function()
    local got = trace.of(database({
      { seq = 1, ts = 1000, type = "job.submitted", data = '{"job_type":"render"}' },
      { seq = 2, ts = 1001, type = "job.started", data = '{"attempt":1,"worker":"worker-1/7"}' },
      { seq = 3, ts = 1002, type = "job.progress", data = "{}" },
      { seq = 4, ts = 1004, type = "job.artifact", data = '{"name":"a.png","size":12}' },
      { seq = 5, ts = 1005, type = "job.orphaned", data = '{"reason":"the worker was killed by signal 9"}' },
      { seq = 6, ts = 1010, type = "job.completed" },
    }, {
      { key = "two", attempt = 2, error = '{"code":"x","message":"no luck"}', started_at = 1006, ended_at = 1009 },
      { key = "one", attempt = 1, started_at = 1001, ended_at = 1004 },
    }, { { id = "child", status = "failed", created_at = 1003, ended_at = 1008 } }), row)
    local lines = {}
    for i, entry in ipairs(got.entries) do
      lines[i] = table.concat({ entry.at_s, entry.kind, entry.name or "-", entry.seconds or "-", entry.detail or "-",
        entry.failed and "failed" or nil }, " ")
    end
    assert.same({ "0 submitted - - -", "1 started - - attempt 1, worker-1/7", "1 step one 3 -", "3 child child 5 failed failed",
      "4 artifact a.png - 12 bytes", "5 orphaned - - the worker was killed by signal 9 failed", "6 step two 3 no luck failed",
      "10 completed - - -" }, lines)
    assert.equal("0af7651916cd43dd8448eb211c80319c", got.trace_id)
    assert.equal(10, got.seconds)
  end)

  it("does without a trace id", function()
    local got = trace.of(database({}, {}, {}), { id = "j", type = "t", status = "completed", created_at = 1, ended_at = 2 })
    assert.is_nil(got.trace_id)
    assert.same({}, got.entries)
  end)

  it("says why it cannot be read", function()
    local got, why = trace.of({ query = function() return nil, { code = "io" } end }, row)
    assert.is_nil(got)
    assert.equal("io", why.code)
  end)
end)
