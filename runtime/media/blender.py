"""Draws the views of a job with Blender: media/blender.c runs this inside `blender -b`.

`blender -b --factory-startup -P blender.py -- FOLDER` reads FOLDER/job.json and FOLDER/poses.f32, writes
FOLDER/NUMBER.png for each view and tells on descriptor 3, a line each: "blender VERSION", "view NUMBER",
"error WORDS".

Bodies are read by Blender's own importers, and posed by the matrices that stance draws with: Blender's bones are
found by name, what its importer made of units and axes is measured at the bones (`Body.fit`), and each body is held
against the box that it has in stance. So both engines show the same mesh in the same pose under the same camera,
whatever the file, the clip and the version; where they cannot, the job fails and says how far they are apart.

Axes: stance has y up, Blender z up. Blender 3.0 to 5.x; the standard library and Blender's modules only.
"""

import array
import builtins
import json
import math
import os
import shutil
import sys

import bpy
from mathutils import Matrix, Quaternion, Vector

OLDEST = (3, 0, 0)
UP = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 0), (0, 0, 0, 1)))  # Blender's world from ours
FACING = Matrix.Diagonal((1, -1, -1, 1))  # a camera that looks along -z from one that looks along z


class Refusal(Exception):
    """What cannot be done, in words for people."""


def tell(line):
    os.write(3, (" ".join(line.split()) + "\n").encode())


def matrix(numbers):
    return Matrix((numbers[0:4], numbers[4:8], numbers[8:12], (0, 0, 0, 1)))


# -- Bodies -------------------------------------------------------------------------------------------------------------


def import_gltf(path):
    try:
        import numpy
    except ImportError:
        raise Refusal("Blender reads glTF by numpy, which its Python lacks: apt install python3-numpy") from None
    for name in ("bool", "int", "float", "object"):  # dropped by numpy 1.24, still asked for by Blender 3.4
        if name not in numpy.__dict__:
            setattr(numpy, name, getattr(builtins, name))
    bpy.ops.import_scene.gltf(filepath=path)


def import_file(path, folder, number):
    ending = os.path.splitext(path)[1].lower()
    if ending == ".vrm":  # a GLB by another name
        copy = os.path.join(folder, f"{number}.glb")
        shutil.copyfile(path, copy)
        path, ending = copy, ".glb"
    if ending == ".fbx":
        # Joints hang on by their own ends here, not where Blender would like a chain to be.
        bpy.ops.import_scene.fbx(filepath=path, use_custom_props=False, ignore_leaf_bones=False)
    else:
        import_gltf(path)


def similarity(pairs):
    """The turn, scale and shift that brings the first of each pair nearest to the second.

    Horn, "Closed-form solution of absolute orientation using unit quaternions", 1987.
    """
    count = len(pairs)
    from_middle = sum((a for a, _ in pairs), Vector()) / count
    to_middle = sum((b for _, b in pairs), Vector()) / count
    s = [[0.0] * 3 for _ in range(3)]
    spread = [0.0, 0.0]
    for a, b in pairs:
        a, b = a - from_middle, b - to_middle
        spread[0] += a.length_squared
        spread[1] += b.length_squared
        for i in range(3):
            for k in range(3):
                s[i][k] += a[i] * b[k]
    if not (spread[0] > 0 and spread[1] > 0):
        raise Refusal("all joints lie in one point")
    n = [
        [s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]],
        [0, s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]],
        [0, 0, s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]],
        [0, 0, 0, s[2][2] - s[0][0] - s[1][1]],
    ]
    size = math.sqrt(spread[0] * spread[1])
    power = Matrix([[n[min(i, k)][max(i, k)] / size + (i == k) for k in range(4)] for i in range(4)])
    for _ in range(40):  # squared so often, a matrix shows nothing but its largest eigenvector
        power = power @ power
        power *= 1 / max(abs(x) for row in power for x in row)
    turn = Quaternion(max(power, key=lambda line: sum(x * x for x in line))).normalized().to_matrix()
    scale = math.sqrt(spread[1] / spread[0])
    return Matrix.Translation(to_middle) @ turn.to_4x4() @ Matrix.Scale(scale, 4) @ Matrix.Translation(-from_middle)


class Body:
    """One person: what an import left in the scene, and how it is posed."""

    def __init__(self, told, folder, number):
        self.name = os.path.basename(told["file"])
        self.joints = {name: i for i, name in reversed(list(enumerate(told["joints"])))}
        self.joint_count = len(told["joints"])
        self.idle = set(told["idle"])
        self.morphs = {name: i for i, name in enumerate(told["morphs"])}
        self.bind = [Vector(place) for place in told["bind"]]
        before = set(bpy.data.objects)
        try:
            import_file(told["file"], folder, number)
        except RuntimeError as problem:
            raise Refusal(f"{self.name}: Blender cannot read it: {problem}") from None
        self.objects = [thing for thing in bpy.data.objects if thing not in before]
        self.discard()
        self.show()
        self.still()
        self.fit()

    def discard(self):
        """Takes out what stance does not draw: lamps, cameras, shapes of bones, swords that no hand holds."""
        drawn = {thing for thing in self.objects if thing.type == "MESH" and thing.visible_get() and self.draws(thing)}
        kept = set(drawn)
        for thing in drawn:
            while thing.parent:
                thing = thing.parent
                kept.add(thing)
            kept.update(m.object for m in thing.modifiers if m.type == "ARMATURE" and m.object)
        for thing in self.objects:
            if thing not in kept:
                bpy.data.objects.remove(thing)
        self.objects = list(kept)
        self.meshes = [thing for thing in self.objects if thing.type == "MESH"]
        self.armatures = [thing for thing in self.objects if thing.type == "ARMATURE"]
        if not self.meshes:
            raise Refusal(f"{self.name}: Blender finds no mesh in it")

    def draws(self, mesh):
        skinned = any(m.type == "ARMATURE" for m in mesh.modifiers)
        return skinned or mesh.name not in self.idle

    def show(self):
        """Makes paint that is not there at all whole: an old exporter's way to say that nothing shines through."""
        for mesh in self.meshes:
            for paint in mesh.data.materials:
                for node in paint.node_tree.nodes if paint and paint.use_nodes else ():
                    alpha = node.inputs.get("Alpha")
                    if node.type == "BSDF_PRINCIPLED" and not alpha.is_linked and alpha.default_value == 0:
                        alpha.default_value = 1

    def still(self):
        """Takes all motion away, so that nothing but `pose` moves a bone."""
        for thing in self.objects:
            thing.animation_data_clear()
            keys = getattr(thing.data, "shape_keys", None)
            if keys:
                keys.animation_data_clear()
        for armature in self.armatures:
            armature.data.pose_position = "POSE"
            bpy.context.view_layer.objects.active = armature
            bpy.ops.object.mode_set(mode="EDIT")
            for bone in armature.data.edit_bones:
                bone.use_connect = False
                bone.use_inherit_rotation = bone.use_local_location = True
                bone.inherit_scale = "FULL"
            bpy.ops.object.mode_set(mode="OBJECT")
            for bone in armature.pose.bones:
                bone.matrix_basis = Matrix()
                for constraint in list(bone.constraints):
                    bone.constraints.remove(constraint)
        bpy.context.view_layer.update()

    def fit(self):
        """Measures what brings Blender's rest pose to the bind space of stance."""
        known = [(armature.matrix_world @ bone.head_local, self.bind[self.joints[bone.name]])
                 for armature in self.armatures for bone in armature.data.bones if bone.name in self.joints]
        if not known:  # a body of parts without skin
            known = [(thing.matrix_world.translation, self.bind[self.joints[thing.name]])
                     for thing in self.objects if thing.name in self.joints]
        if len(known) < 3:
            raise Refusal(f"{self.name}: Blender has {len(known)} of its {len(self.joints)} joints")
        self.bind_from_rest = similarity(known)
        apart = [((self.bind_from_rest @ a) - b).length for a, b in known]
        near = 4 * sorted(apart)[len(apart) // 2] + 1e-4
        kept = [pair for pair, distance in zip(known, apart) if distance <= near]
        if len(kept) >= 3:  # without the bones that move nothing and stand elsewhere
            self.bind_from_rest = similarity(kept)
        self.rest = {thing: thing.matrix_world.copy() for thing in self.objects}
        self.root = bpy.data.objects.new(self.name, None)
        bpy.context.scene.collection.objects.link(self.root)
        for thing in self.objects:
            if thing.parent is None:
                thing.parent = self.root
        self.root.matrix_world = UP @ self.bind_from_rest

    def pose(self, matrices, weights):
        """Poses it by the world-from-bind matrices of all joints and the weights of its morph targets."""
        for mesh in self.meshes:
            keys = mesh.data.shape_keys
            for key in keys.key_blocks[1:] if keys else ():
                key.slider_min, key.slider_max = -10, 10
                key.value = weights[self.morphs[key.name]] if weights and key.name in self.morphs else 0
        for armature in self.armatures:
            self.pose_bones(armature, matrices)
        for thing in self.objects:
            follows = thing.parent_type == "BONE" or any(m.type == "ARMATURE" for m in thing.modifiers)
            if thing.type == "MESH" and not follows and thing.name in self.joints:
                move = UP @ matrices[self.joints[thing.name]] @ self.bind_from_rest
                bpy.context.view_layer.update()
                thing.matrix_world = move @ self.rest[thing]
        bpy.context.view_layer.update()

    def pose_bones(self, armature, matrices):
        bind_from_armature = self.bind_from_rest @ self.rest[armature]
        back = bind_from_armature.inverted()
        placed = {}
        for bone in armature.data.bones:  # parents first
            joint, rest = self.joints.get(bone.name), bone.matrix_local
            above = placed[bone.parent.name] @ bone.parent.matrix_local.inverted() @ rest if bone.parent else rest
            place = above if joint is None else back @ matrices[joint] @ bind_from_armature @ rest
            placed[bone.name] = place
            armature.pose.bones[bone.name].matrix_basis = above.inverted() @ place

    def box(self):
        """Least and greatest x, y, z of the posed body, in the axes of stance."""
        low, high = [math.inf] * 3, [-math.inf] * 3
        depsgraph = bpy.context.evaluated_depsgraph_get()
        for mesh in self.meshes:
            posed = mesh.evaluated_get(depsgraph)
            data = posed.to_mesh()
            to_world = UP.inverted() @ posed.matrix_world
            for vertex in data.vertices:
                at = to_world @ vertex.co
                for i in range(3):
                    low[i], high[i] = min(low[i], at[i]), max(high[i], at[i])
            posed.to_mesh_clear()
        return low + high

    def compare(self, box):
        """Refuses a body that is not where stance has it: another engine's picture of other labels helps nobody."""
        size = max(box[3 + i] - box[i] for i in range(3))
        apart = max(abs(a - b) for a, b in zip(self.box(), box))
        if not apart <= 0.01 * size:
            raise Refusal(f"{self.name}: Blender reads it differently: its box is {1000 * apart:.0f} mm off")


# -- The stage ----------------------------------------------------------------------------------------------------------


def add_lamp(scene, kind, color, power, towards, position=(0, 0, 0)):
    """`color` is that of what white sends back; `power` is Blender's number for white that sends 1 back."""
    lamp = bpy.data.lights.new("lamp", kind)
    strongest = max(color) or 1
    lamp.color = [c / strongest for c in color]
    lamp.energy = strongest * power
    thing = bpy.data.objects.new("lamp", lamp)
    scene.collection.objects.link(thing)
    thing.location = UP @ Vector(position)
    thing.rotation_euler = (UP.to_3x3() @ Vector(towards)).to_track_quat("Z", "Y").to_euler()
    return lamp


def set_light(scene, light):
    """The sun, lamps, the sky by where a face looks, the picture behind everything, the ground."""
    add_lamp(scene, "SUN", light["sun_color"], math.pi, light["sun_direction"]).angle = light["sun_angle"]
    for told in light["lamps"]:
        spot = told["cone"] < math.pi / 2
        lamp = add_lamp(scene, "SPOT" if spot else "POINT", told["color"], 4 * math.pi ** 2,
                        [-x for x in told["direction"]], told["position"])
        lamp.shadow_soft_size = told["radius"]
        lamp.use_shadow = False
        if spot:
            lamp.spot_size, lamp.spot_blend = 2 * told["cone"], told["blend"]
    scene.world = bpy.data.worlds.new("sky")
    scene.world.color = light["background_bottom"]  # all of it that Workbench shows
    scene.world.use_nodes = True
    tree = scene.world.node_tree
    tree.nodes.clear()

    def node(kind, **inputs):
        made = tree.nodes.new(kind)
        for name, value in inputs.items():
            if isinstance(value, bpy.types.NodeSocket):
                tree.links.new(value, made.inputs[name])
            else:
                made.inputs[name].default_value = value
        return made

    def mix(share, low, high):
        made = tree.nodes.new("ShaderNodeMixRGB")
        tree.links.new(share, made.inputs[0])
        for i, value in ((1, low), (2, high)):
            if isinstance(value, bpy.types.NodeSocket):
                tree.links.new(value, made.inputs[i])
            else:
                made.inputs[i].default_value = [*value, 1]
        return made.outputs[0]

    direction = node("ShaderNodeSeparateXYZ", Vector=node("ShaderNodeTexCoord").outputs["Generated"])
    height = tree.nodes.new("ShaderNodeMath")
    height.operation, height.inputs[1].default_value, height.inputs[2].default_value = "MULTIPLY_ADD", 0.5, 0.5
    tree.links.new(direction.outputs["Z"], height.inputs[0])
    window = node("ShaderNodeSeparateXYZ", Vector=node("ShaderNodeTexCoord").outputs["Window"])
    ambient = mix(height.outputs[0], light["bounce_color"], light["sky_color"])
    behind = mix(window.outputs["Y"], light["background_bottom"], light["background_top"])
    seen = node("ShaderNodeLightPath").outputs["Is Camera Ray"]
    shine = node("ShaderNodeBackground", Color=mix(seen, ambient, behind))
    tree.links.new(shine.outputs[0], tree.nodes.new("ShaderNodeOutputWorld").inputs["Surface"])
    if light["ground"]:
        set_ground(scene, light)


def set_ground(scene, light):
    mesh = bpy.data.meshes.new("ground")
    far, low = 1000, light["ground_y"]
    mesh.from_pydata([(-far, -far, low), (far, -far, low), (far, far, low), (-far, far, low)], [], [(0, 1, 2, 3)])
    paint = bpy.data.materials.new("ground")
    paint.diffuse_color = [*light["ground_color"], 1]
    paint.use_nodes = True
    paint.node_tree.nodes.clear()
    diffuse = paint.node_tree.nodes.new("ShaderNodeBsdfDiffuse")
    diffuse.inputs["Color"].default_value = [*light["ground_color"], 1]
    output = paint.node_tree.nodes.new("ShaderNodeOutputMaterial")
    paint.node_tree.links.new(diffuse.outputs[0], output.inputs["Surface"])
    mesh.materials.append(paint)
    scene.collection.objects.link(bpy.data.objects.new("ground", mesh))


def set_camera(scene, camera, view):
    width, height = view["width"], view["height"]
    across, down = view["fx"], view["fy"]
    render, lens = scene.render, camera.data
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = max(1, down / across), max(1, across / down)
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", 36
    lens.lens = across * 36 / width
    lens.shift_x = (width / 2 - view["cx"]) / width
    lens.shift_y = (view["cy"] - height / 2) / width * across / down
    lens.clip_start, lens.clip_end = view["near"], 1e4
    lens.dof.use_dof = view["lens_radius"] > 0
    if lens.dof.use_dof:
        lens.dof.focus_distance = view["focus"]
        lens.dof.aperture_fstop = lens.lens / 1000 / (2 * view["lens_radius"])
    camera.matrix_world = UP @ matrix(view["camera_from_world"]).inverted() @ FACING


# -- The engine ---------------------------------------------------------------------------------------------------------


def choose(thing, field, *names):
    """Sets an enumeration to the first of the names that this version knows."""
    for name in names:
        try:
            setattr(thing, field, name)
            return
        except TypeError:
            continue
    raise Refusal(f"Blender {bpy.app.version_string} has none of {', '.join(names)}")


def set_engine(scene, job):
    samples = job["samples"]
    if job["engine"] == "cycles":
        choose(scene.render, "engine", "CYCLES")
        scene.cycles.device, scene.cycles.samples, scene.cycles.seed = "CPU", samples, job["seed"]
        scene.cycles.use_denoising = False
        scene.cycles.filter_width = 1
    elif job["engine"] == "workbench":
        choose(scene.render, "engine", "BLENDER_WORKBENCH")
        sides = [n for n in (32, 16, 11, 8, 5) if n <= samples]
        choose(scene.display, "render_aa", str(sides[0]) if sides else "OFF")
        scene.display.shading.light, scene.display.shading.color_type = "STUDIO", "TEXTURE"
        scene.display.shading.show_shadows = True
    else:
        choose(scene.render, "engine", "BLENDER_EEVEE_NEXT", "BLENDER_EEVEE")  # so called in 4.2 to 4.5
        scene.eevee.taa_render_samples = samples
        if hasattr(scene.eevee, "use_gtao"):
            scene.eevee.use_gtao, scene.eevee.use_soft_shadows = True, True
            scene.eevee.shadow_cascade_size = "2048"


def set_output(scene, job):
    render, tone = scene.render, scene.view_settings
    render.film_transparent = job["transparent"]
    render.filter_size = 1
    render.use_persistent_data = True
    render.threads_mode, render.threads = "FIXED", job["threads"]
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGBA" if job["transparent"] else "RGB"
    render.image_settings.color_depth, render.image_settings.compression = "8", 15
    choose(tone, "view_transform", *(("Filmic", "AgX") if job["light"]["tone"] == "filmic" else ("Standard",)))
    tone.exposure = math.log2(max(job["light"]["exposure"], 1e-6))


# -- The whole ----------------------------------------------------------------------------------------------------------


def draw(folder):
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    numbers = array.array("f")
    with open(os.path.join(folder, "poses.f32"), "rb") as file:
        numbers.frombytes(file.read())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    bodies = [Body(told, folder, i) for i, told in enumerate(job["bodies"])]
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    set_light(scene, job["light"])
    set_engine(scene, job)
    set_output(scene, job)
    shown = None
    for i, view in enumerate(job["views"]):
        if view["frame"] != shown:
            shown = view["frame"]
            for body, actor in zip(bodies, job["frames"][shown]):
                place = range(actor["pose"], actor["pose"] + 12 * body.joint_count, 12)
                body.pose([matrix(numbers[at:at + 12]) for at in place], actor["morphs"])
                body.compare(actor["box"])
        set_camera(scene, camera, view)
        scene.render.filepath = os.path.join(folder, f"{i}.png")
        bpy.ops.render.render(write_still=True)
        tell(f"view {i}")


def main():
    tell(f"blender {'.'.join(str(n) for n in bpy.app.version)}")
    try:
        if bpy.app.version < OLDEST:
            raise Refusal(f"Blender {bpy.app.version_string} is too old: 3.0 or newer is needed")
        draw(sys.argv[sys.argv.index("--") + 1])
    except Refusal as refusal:
        tell(f"error {refusal}")
        os._exit(3)  # sys.exit would be reported by Blender as a crash of the script
    except Exception as problem:
        import traceback
        traceback.print_exc()
        tell(f"error {type(problem).__name__}: {problem}")
        os._exit(4)
    os._exit(0)  # what Blender would free now, the system frees faster


main()
