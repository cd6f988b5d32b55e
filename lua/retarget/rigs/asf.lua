--- rigs/asf.lua - The CMU motions' skeleton in Acclaim's own files (ASF).
return {
  name = "asf",
  bones = {
    hips = "root", spine = "lowerback", chest = "upperback", upperChest = "thorax", neck = "lowerneck", head = "head",
    shoulder = "{l|r}clavicle", upperArm = "{l|r}humerus", lowerArm = "{l|r}radius", hand = { "{l|r}wrist", "{l|r}hand" },
    upperLeg = "{l|r}femur", lowerLeg = "{l|r}tibia", foot = "{l|r}foot", toes = "{l|r}toes",
    thumbProximal = "{l|r}thumb",
  },
}
