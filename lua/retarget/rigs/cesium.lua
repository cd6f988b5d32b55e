--- rigs/cesium.lua - CesiumMan, Khronos' sample: 19 joints with names of its own, arms that count down from the shoulder.
return {
  name = "cesium",
  bones = {
    hips = "Skeleton_torso_joint_1", spine = "Skeleton_torso_joint_2", chest = "torso_joint_3", neck = "Skeleton_neck_joint_1",
    head = "Skeleton_neck_joint_2", leftUpperArm = "Skeleton_arm_joint_L__4_", leftLowerArm = "Skeleton_arm_joint_L__3_",
    leftHand = "Skeleton_arm_joint_L__2_", rightUpperArm = "Skeleton_arm_joint_R", rightLowerArm = "Skeleton_arm_joint_R__2_",
    rightHand = "Skeleton_arm_joint_R__3_", upperLeg = "leg_joint_{L|R}_1", lowerLeg = "leg_joint_{L|R}_2",
    foot = "leg_joint_{L|R}_3", toes = "leg_joint_{L|R}_5",
  },
}
