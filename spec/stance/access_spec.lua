local access = require "stance.access"

describe("access by scopes", function()
  local function may(scopes, scope)
    local principal, why = access.by_scopes { ["local"] = scopes }({}, { scope = scope })
    if principal then return true end
    assert.equal("denied", why.code)
    return false
  end

  for _, case in ipairs {
    { "everything", { "*" }, "jobs:write", true },
    { "the scope itself", { "jobs:read", "jobs:write" }, "jobs:write", true },
    { "a family of scopes", { "jobs:*" }, "jobs:write", true },
    { "no other family", { "jobs:*" }, "jobsadmin:write", false },
    { "no scope that only begins alike", { "jobs:write" }, "jobs:writeall", false },
    { "nothing without a scope", {}, "jobs:read", false },
    { "routes that need none", {}, nil, true },
  } do
    it("grants " .. case[1], function() assert.equal(case[4], may(case[2], case[3])) end)
  end

  it("knows nobody without a policy", function()
    assert.is_nil((access.by_scopes {}({}, { scope = "jobs:read" })))
  end)
end)
