--- rigs/daz.lua - Daz Studio's Genesis, whose hips lie above the pelvis.
return {
  name = "daz",
  bones = {
    hips = { "hip", "pelvis" }, spine = { "abdomenLower", "abdomen" }, chest = { "chestLower", "chest" },
    upperChest = "chestUpper", neck = { "neckLower", "neck" }, head = "head", jaw = "lowerJaw", eye = "{l|r}Eye",
    shoulder = "{l|r}Collar", upperArm = { "{l|r}ShldrBend", "{l|r}Shldr" }, lowerArm = { "{l|r}ForearmBend", "{l|r}ForeArm" },
    hand = "{l|r}Hand", upperLeg = { "{l|r}ThighBend", "{l|r}Thigh" }, lowerLeg = "{l|r}Shin", foot = "{l|r}Foot",
    toes = "{l|r}Toe", thumb = "{l|r}Thumb#", index = "{l|r}Index#", middle = "{l|r}Mid#", ring = "{l|r}Ring#",
    little = "{l|r}Pinky#",
  },
}
