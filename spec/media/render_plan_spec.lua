local plan = require "stance.render_plan"

describe("render_plan", function()
  describe("names", function()
    for _, case in ipairs {
      { { "mannequin" }, { "mannequin" } },
      { { "/data/a/walk.fbx", "b/run.glb" }, { "walk", "run" } },
      { { "a/x.fbx", "b/x.glb", "X.vrm" }, { "x", "x-2", "X-3" } },
      { { "dir/Mädchen (1).fbx" }, { "M__dchen__1_" } },
      { { "..", ".hidden.fbx", "" }, { "_", "_hidden", "character" } },
      { { "v1.2.body.glb" }, { "v1.2.body" } },
      { { [[C:\models\orc.fbx]], "a/b/" }, { "orc", "b" } },
    } do
      it(table.concat(case[1], ", "), function() assert.same(case[2], plan.names(case[1])) end)
    end

    it("are not longer than a file system takes", function()
      assert.is_true(#plan.names({ ("x"):rep(500) .. ".fbx" })[1] <= 110)
    end)
  end)

  it("makes keys of samples without dots, whose ends stay", function()
    assert.same({ "view_051_43", "v1_2_body-2" }, { plan.key "view_051.43", plan.key "v1.2.body-2" })
    local long = plan.key(("x"):rep(60) .. "-12")
    assert.is_true(#long <= 39 and long:match "x%-12$" ~= nil)
  end)

  describe("batches", function()
    it("go character by character, with keys that tell their views", function()
      local keys, before = {}, {}
      for i, batch in ipairs(plan.batches(plan.sets { "a.fbx", "b.fbx" }, 6, 4)) do
        keys[i], before[i] = batch.key, batch.before
      end
      assert.same({ "a/0-3", "a/4-5", "b/0-3", "b/4-5" }, keys)
      assert.same({ 0, 4, 6, 10 }, before)
    end)
  end)

  describe("counter", function()
    local batches = plan.batches(plan.sets { "a", "b" }, 8, 4)

    it("counts what is through", function()
      local count = plan.counter()
      assert.equal(0, count(batches[1], true))
      assert.equal(0, count(batches[2], true))
      assert.equal(4, count(batches[2], false))
      assert.equal(8, count(batches[1], false))
    end)

    it("counts what an earlier run did as soon as a later batch starts", function()
      local count = plan.counter()
      assert.equal(12, count(batches[4], true))
      assert.equal(16, count(batches[4], false))
    end)

    it("never goes back when a batch is tried again", function()
      local count = plan.counter()
      count(batches[1], true)
      assert.equal(4, count(batches[1], false))
      assert.equal(4, count(batches[1], true))
    end)
  end)
end)
