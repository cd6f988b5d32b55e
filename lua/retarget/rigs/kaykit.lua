--- rigs/kaykit.lua - KayKit: five trunk bones at most, no fingers; the hand's bone lies in the palm, the wrist's where hands begin.
return {
  name = "kaykit",
  bones = {
    hips = "hips", spine = "spine", chest = "chest", head = "head", upperArm = "upperarm.{l|r}",
    lowerArm = "lowerarm.{l|r}", hand = { "wrist.{l|r}", "hand.{l|r}" }, upperLeg = "upperleg.{l|r}",
    lowerLeg = "lowerleg.{l|r}", foot = "foot.{l|r}", toes = "toes.{l|r}",
  },
}
