--- tuning.lua - how a person's movement is put on another body: numbers that one changes by looking.
---
--- Lengths are those of a body whose legs are 0.85 m long, and grow with the legs. Read whenever a motion is bound.
return {
  feet = {
    lock = true,            -- planted feet stay where they are
    contact_height = 0.035, -- m above where they stand: lower and slower than this, heel or ball of a foot is planted
    release_height = 0.06,  -- m: until it is higher
    contact_speed = 0.3,    -- m/s
    release_speed = 0.45,   -- m/s: or faster
    shortest = 0.07,        -- s: shorter contacts do not count
    shuffle = 0.06,         -- m that the recording's foot may drift and still be held
    blend = 0.16,           -- s in which a foot comes to its place, and leaves it
    slope = 0.1,            -- m that the floor of a recording may rise and fall on the way
    reach = 0.995,          -- how far a leg may stretch, as a share of its length
    sink = 0.12,            -- m that the hips may sink so that a foot reaches the floor
  },
}
