--- rigs/rigify.lua - Blender's Rigify: the deforming bones ("DEF-"), the originals ("ORG-"), or the bare metarig.
--- Its spine begins at the hips and ends in the head.
return {
  name = "rigify",
  prefixes = { "DEF-", "ORG-" },
  bones = {
    hips = { "spine", "hips" }, spine = { "spine.001", "spine" }, chest = { "spine.002", "chest" },
    upperChest = { "spine.003", "upper_chest" }, neck = { "spine.004", "neck" }, head = { "spine.006", "head" },
    jaw = "jaw", eye = "eye.{L|R}", shoulder = "shoulder.{L|R}", upperArm = "upper_arm.{L|R}",
    lowerArm = "forearm.{L|R}", hand = "hand.{L|R}", upperLeg = "thigh.{L|R}", lowerLeg = "shin.{L|R}",
    foot = "foot.{L|R}", toes = "toe.{L|R}", thumb = "thumb.0#.{L|R}", index = "f_index.0#.{L|R}",
    middle = "f_middle.0#.{L|R}", ring = "f_ring.0#.{L|R}", little = "f_pinky.0#.{L|R}",
  },
}
