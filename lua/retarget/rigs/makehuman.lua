--- rigs/makehuman.lua - MakeHuman's default rig, with two bones a limb and the spine counted from above.
return {
  name = "makehuman",
  bones = {
    hips = "root", spine = "spine04", chest = "spine02", upperChest = "spine01", neck = "neck01", head = "head",
    jaw = "jaw", eye = "eye.{L|R}", shoulder = "clavicle.{L|R}", upperArm = "upperarm01.{L|R}",
    lowerArm = "lowerarm01.{L|R}", hand = "wrist.{L|R}", upperLeg = "upperleg01.{L|R}", lowerLeg = "lowerleg01.{L|R}",
    foot = "foot.{L|R}", toes = "toe1-1.{L|R}", thumb = "finger1-#.{L|R}", index = "finger2-#.{L|R}",
    middle = "finger3-#.{L|R}", ring = "finger4-#.{L|R}", little = "finger5-#.{L|R}",
  },
}
