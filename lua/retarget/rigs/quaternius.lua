--- rigs/quaternius.lua - Quaternius: the older packs, whose feet hang on controls beside the legs, and whose hands are mostly mittens.
return {
  name = "quaternius",
  bones = {
    hips = "Hips", spine = "Abdomen", chest = "Torso", neck = "Neck", head = "Head", shoulder = "Shoulder.{L|R}",
    upperArm = "UpperArm.{L|R}", lowerArm = "LowerArm.{L|R}", hand = { "Palm.{L|R}", "Palm2.{L|R}", "Wrist.{L|R}" },
    upperLeg = "UpperLeg.{L|R}", lowerLeg = "LowerLeg.{L|R}", foot = "Foot.{L|R}", toes = "Toes.{L|R}",
    thumbProximal = { "Thumb1.{L|R}", "Thumb.{L|R}" }, thumbDistal = "Thumb2.{L|R}",
    indexProximal = { "Index1.{L|R}", "Index.{L|R}" }, indexIntermediate = "Index2.{L|R}", indexDistal = "Index3.{L|R}",
    middleProximal = { "Middle1.{L|R}", "Fingers.{L|R}" }, middleIntermediate = "Middle2.{L|R}",
    middleDistal = "Middle3.{L|R}",
    ringProximal = "Ring1.{L|R}", ringIntermediate = "Ring2.{L|R}", ringDistal = "Ring3.{L|R}",
    littleProximal = "Pinky1.{L|R}", littleIntermediate = "Pinky2.{L|R}", littleDistal = "Pinky3.{L|R}",
  },
}
