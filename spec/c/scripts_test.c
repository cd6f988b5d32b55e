/* core/scripts.h: snapshots of script folders, their names, and what is no script. */
#include "core/scripts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "scratch.h"

/* -- Folders ----------------------------------------------------------------------------------- */

/* Writes root/path and the folders on its way. */
static void put_bytes(const char *root, const char *path, const char *bytes, size_t size) {
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size)
        abort();
    fclose(file);
}

static void put(const char *root, const char *path, const char *text) {
    put_bytes(root, path, text, strlen(text));
}

static char *join(const char *root, const char *path) {
    static char paths[8][1024];
    static int turn;
    char *full = paths[turn++ % 8];
    snprintf(full, sizeof paths[0], "%s/%s", root, path);
    return full;
}

static struct err why;

/* The snapshot, or NULL and `why`. */
static struct scripts *read_all(const char *lua, const char *policies, const char *workspace) {
    struct scripts *scripts = NULL;
    why.code = 0;
    int code = scripts_read(lua, policies, workspace, &scripts, &why);
    CHECK(code == why.code && (code == 0) == (scripts != NULL));
    return scripts;
}

static struct scripts *must_read(const char *lua, const char *policies, const char *workspace) {
    struct scripts *scripts = read_all(lua, policies, workspace);
    if (scripts == NULL) {
        fprintf(stderr, "%s\n", why.message);
        abort();
    }
    return scripts;
}

static const char *text_of(const struct scripts *scripts, const char *path) {
    const struct script *script = scripts_find(scripts, path);
    return script ? script->text : NULL;
}

static char *fresh(void) {
    char *root = strdup(scratch("lua"));
    mkdir(root, 0755);
    return root;
}

/* The name of a folder's snapshot. */
static const char *name_of(const char *lua, const char *workspace) {
    static char names[32][SCRIPTS_NAME_SIZE];
    static int turn;
    char *name = names[turn++ % 32];
    struct scripts *scripts = must_read(lua, NULL, workspace);
    memcpy(name, scripts_name(scripts), SCRIPTS_NAME_SIZE);
    scripts_free(scripts);
    return name;
}

/* -- What is read ------------------------------------------------------------------------------ */

static void scripts_are_found_by_their_paths(void) {
    char *lua = fresh();
    put(lua, "boot.lua", "return 0");
    put(lua, "stance/job.lua", "return 1");
    put(lua, "a/b/c/deep.lua", "return 2");
    put(lua, "empty.lua", "");
    put(lua, "odd name-.x.lua", "return 3");
    struct scripts *scripts = must_read(lua, NULL, NULL);
    CHECK(scripts_count(scripts) == 5);
    CHECK_TEXT(text_of(scripts, "stance/job.lua"), "return 1");
    CHECK_TEXT(text_of(scripts, "a/b/c/deep.lua"), "return 2");
    CHECK_TEXT(text_of(scripts, "empty.lua"), "");
    CHECK_TEXT(text_of(scripts, "odd name-.x.lua"), "return 3");
    CHECK(scripts_find(scripts, "stance/none.lua") == NULL && scripts_find(scripts, "") == NULL);
    for (size_t i = 1; i < scripts_count(scripts); i++)
        CHECK(strcmp(scripts_at(scripts, i - 1)->path, scripts_at(scripts, i)->path) < 0);
    CHECK(scripts_at(scripts, 5) == NULL);
    const struct script *job = scripts_find(scripts, "stance/job.lua");
    CHECK_TEXT(job->origin, join(lua, "stance/job.lua"));
    CHECK(job->size == 8 && strlen(job->hash) == 64);
    scripts_free(scripts);
    free(lua);
}

static void what_is_no_script_is_passed_over(void) {
    static const char *const others[] = {
        ".hidden.lua",  ".git/config.lua",
        "a/.x/y.lua",   "notes.txt",
        "x.lua~",       "x.lua.bak",
        ".lua",         "meta/fs.lua",
        "a/meta/x.lua", "node_modules/p/i.lua",
        "LUA",          "a.Lua",
    };
    char *lua = fresh();
    put(lua, "boot.lua", "return 0");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        put(lua, others[i], "this is not even Lua \x1b");
    CHECK(mkfifo(join(lua, "pipe.lua"), 0644) == 0); /* opening it would wait for ever */
    CHECK(symlink("/nowhere/at/all.lua", join(lua, "dangling.lua")) == 0);
    CHECK(symlink("dangling2", join(lua, "dangling2")) == 0);
    mkdir(join(lua, "folder.lua"), 0755);
    put(lua, "folder.lua/inside.lua", "return 1");
    struct scripts *scripts = must_read(lua, NULL, NULL);
    CHECK(scripts_count(scripts) == 2);
    CHECK_TEXT(text_of(scripts, "folder.lua/inside.lua"), "return 1");
    scripts_free(scripts);
    free(lua);
}

static void a_workspace_lies_over_the_built_in_scripts(void) {
    char *lua = fresh(), *policies = fresh(), *workspace = fresh();
    put(lua, "boot.lua", "return 'built in'");
    put(lua, "workflows/render.lua", "return 'built in'");
    put(policies, "tools.lua", "return 'built in'");
    put(policies, "paths.lua", "return 'built in'");
    put(workspace, "workflows/render.lua", "return 'mine'");
    put(workspace, "workflows/other.lua", "return 'mine'");
    put(workspace, "policies/tools.lua", "return 'mine'");
    struct scripts *scripts = must_read(lua, policies, workspace);
    CHECK(scripts_count(scripts) == 5);
    CHECK_TEXT(text_of(scripts, "boot.lua"), "return 'built in'");
    CHECK_TEXT(text_of(scripts, "workflows/render.lua"), "return 'mine'");
    CHECK_TEXT(text_of(scripts, "workflows/other.lua"), "return 'mine'");
    CHECK_TEXT(text_of(scripts, "policies/tools.lua"), "return 'mine'");
    CHECK_TEXT(text_of(scripts, "policies/paths.lua"), "return 'built in'");
    CHECK_TEXT(scripts_find(scripts, "policies/tools.lua")->origin,
               join(workspace, "policies/tools.lua"));
    scripts_free(scripts);
    free(lua), free(policies), free(workspace);
}

/* -- Names ------------------------------------------------------------------------------------- */

static void a_name_depends_on_contents_alone(void) {
    char *one = fresh(), *two = fresh(), *empty = fresh(), *over = fresh();
    put(one, "a.lua", "return 1");
    put(one, "b/c.lua", "return 2");
    put(two, "b/c.lua", "return 2"); /* elsewhere, later, in another order */
    put(two, "a.lua", "return 1");
    put(two, "notes.txt", "not read");
    const char *name = name_of(one, NULL);
    CHECK(strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16);
    CHECK_TEXT(name_of(one, NULL), name);
    CHECK_TEXT(name_of(two, NULL), name);
    CHECK_TEXT(name_of(one, empty), name);
    put(over, "a.lua", "return 1");
    CHECK_TEXT(name_of(one, over), name);
    put(over, "a.lua", "return 1 ");
    CHECK(strcmp(name_of(one, over), name) != 0);
    put(two, "a.lua", "return 2");
    CHECK(strcmp(name_of(two, NULL), name) != 0);
    put(two, "a.lua", "return 1");
    put(two, "d.lua", "");
    CHECK(strcmp(name_of(two, NULL), name) != 0);
    rename(join(one, "a.lua"), join(one, "aa.lua"));
    CHECK(strcmp(name_of(one, NULL), name) != 0);
    CHECK(strlen(name_of(empty, NULL)) == 16);
    free(one), free(two), free(empty), free(over);
}

/* Borders between paths and texts count: "ab" + "c" is not "a" + "bc". */
static void names_tell_paths_from_texts(void) {
    char *one = fresh(), *two = fresh();
    put(one, "ab.lua", "c");
    put(two, "a.lua", "bc");
    CHECK(strcmp(name_of(one, NULL), name_of(two, NULL)) != 0);
    put(one, "x.lua", "1"), put(one, "y.lua", "2");
    char first[SCRIPTS_NAME_SIZE];
    memcpy(first, name_of(one, NULL), sizeof first);
    put(one, "x.lua", "2"), put(one, "y.lua", "1");
    CHECK(strcmp(name_of(one, NULL), first) != 0);
    free(one), free(two);
}

static void texts_that_were_kept_give_the_same_name(void) {
    static const char binary[] = "return '\0\xff\r\n'";
    char *lua = fresh();
    put(lua, "boot.lua", "return 0");
    put(lua, "z/last.lua", "return 9");
    put(lua, "empty.lua", "");
    put_bytes(lua, "binary.lua", binary, sizeof binary - 1);
    struct scripts *from_disk = must_read(lua, NULL, NULL), *from_texts = NULL;
    CHECK(scripts_begin(&from_texts, &why) == 0);
    for (size_t i = scripts_count(from_disk); i-- > 0;) {
        const struct script *script = scripts_at(from_disk, i);
        CHECK(scripts_add(from_texts, script->path, script->text, script->size, script->path,
                          &why) == 0);
    }
    CHECK(scripts_seal(from_texts, &why) == 0);
    CHECK_TEXT(scripts_name(from_texts), scripts_name(from_disk));
    CHECK(scripts_count(from_texts) == 4);
    const struct script *kept = scripts_find(from_texts, "binary.lua");
    CHECK(kept->size == sizeof binary - 1 && memcmp(kept->text, binary, kept->size) == 0);
    CHECK_TEXT(kept->hash, scripts_find(from_disk, "binary.lua")->hash);
    /* SHA-256 of nothing, as anybody can compute it. */
    CHECK_TEXT(scripts_find(from_texts, "empty.lua")->hash,
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    scripts_free(from_disk);
    scripts_free(from_texts);
    free(lua);
}

/* -- What is refused --------------------------------------------------------------------------- */

static void compiled_scripts_are_refused(void) {
    char *lua = fresh();
    put(lua, "sneaky.lua", "\x1bLJ\x02");
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_INVALID);
    CHECK(strstr(why.message, "sneaky.lua") && strstr(why.message, "compiled"));
    struct scripts *scripts;
    CHECK(scripts_begin(&scripts, &why) == 0);
    CHECK(scripts_add(scripts, "x.lua", "\x1bLua", 4, "x.lua", &why) == ERR_INVALID);
    CHECK(scripts_add(scripts, "y.lua", "return 1", 8, "y.lua", NULL) == 0);
    CHECK(scripts_seal(scripts, &why) == 0 && scripts_count(scripts) == 1);
    scripts_free(scripts);
    free(lua);
}

static void scripts_have_a_greatest_size(void) {
    char *lua = fresh();
    size_t most = 4 << 20;
    char *text = malloc(most + 1);
    memset(text, ' ', most + 1);
    put_bytes(lua, "large.lua", text, most);
    struct scripts *scripts = must_read(lua, NULL, NULL);
    CHECK(scripts_find(scripts, "large.lua")->size == most);
    scripts_free(scripts);
    put_bytes(lua, "large.lua", text, most + 1);
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_TOO_LARGE && strstr(why.message, "large.lua") != NULL);
    free(text);
    free(lua);
}

static void a_folder_that_is_not_there_is_named(void) {
    char *lua = fresh();
    CHECK(read_all("/nowhere", NULL, NULL) == NULL);
    CHECK(why.code == ERR_NOT_FOUND && strstr(why.message, "/nowhere") != NULL);
    CHECK(read_all(lua, NULL, "/nowhere/else") == NULL);
    CHECK(strstr(why.message, "/nowhere/else") != NULL);
    put(lua, "file.lua", "");
    CHECK(read_all(join(lua, "file.lua"), NULL, NULL) == NULL);
    CHECK(scripts_read("/nowhere", NULL, NULL, &(struct scripts *){NULL}, NULL) != 0);
    free(lua);
}

/* Leaving out what cannot be read would run half of what the operator wrote. */
static void what_cannot_be_read_is_an_error(void) {
    char *lua = fresh();
    put(lua, "ok.lua", "return 1");
    put(lua, "sub/secret.lua", "return 2");
    bool root = geteuid() == 0; /* whom no permission stops */
    chmod(join(lua, "sub/secret.lua"), 0);
    chmod(join(lua, ".."), 0755);
    chmod(join(lua, "../.."), 0755);
    if (root && seteuid(65534) != 0)
        SKIP("cannot become another user");
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_DENIED && strstr(why.message, "sub/secret.lua") != NULL);
    if (root && seteuid(0) != 0)
        abort();
    chmod(join(lua, "sub"), 0);
    if (root && seteuid(65534) != 0)
        abort();
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_DENIED && strstr(why.message, "/sub") != NULL);
    if (root && seteuid(0) != 0)
        abort();
    chmod(join(lua, "sub"), 0755);
    free(lua);
}

static void links_are_followed_but_not_in_circles(void) {
    char *lua = fresh(), *elsewhere = fresh();
    put(elsewhere, "far.lua", "return 'far'");
    put(elsewhere, "sub/more.lua", "return 'more'");
    put(lua, "a/one.lua", "return 1");
    CHECK(symlink(elsewhere, join(lua, "linked")) == 0);
    CHECK(symlink(join(elsewhere, "far.lua"), join(lua, "renamed.lua")) == 0);
    struct scripts *scripts = must_read(lua, NULL, NULL);
    CHECK(scripts_count(scripts) == 4);
    CHECK_TEXT(text_of(scripts, "linked/sub/more.lua"), "return 'more'");
    CHECK_TEXT(text_of(scripts, "renamed.lua"), "return 'far'");
    scripts_free(scripts);

    /* Two links in a circle are already 2^16 ways to one file. */
    CHECK(symlink(".", join(lua, "self")) == 0 && symlink("..", join(lua, "a/up")) == 0);
    CHECK(symlink("../a", join(lua, "a/again")) == 0);
    CHECK(symlink(lua, join(elsewhere, "sub/back")) == 0);
    CHECK(symlink("eternal", join(lua, "eternal")) == 0);
    scripts = must_read(lua, NULL, NULL);
    CHECK(scripts_count(scripts) == 4);
    scripts_free(scripts);
    free(lua), free(elsewhere);
}

static void folders_have_a_greatest_depth(void) {
    char *lua = fresh(), path[256] = "";
    for (int i = 0; i < 16; i++)
        strcat(path, "d/");
    strcat(path, "x.lua");
    put(lua, path, "return 1");
    struct scripts *scripts = must_read(lua, NULL, NULL);
    CHECK_TEXT(text_of(scripts, path), "return 1");
    scripts_free(scripts);
    char deeper[sizeof path + 2];
    snprintf(deeper, sizeof deeper, "d/%s", path);
    put(lua, deeper, "return 1");
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_INVALID && strstr(why.message, "16 deep") != NULL);
    free(lua);
}

static void paths_have_a_greatest_length(void) {
    char *lua = fresh(), path[900] = "", segment[256];
    memset(segment, 'd', sizeof segment);
    memcpy(segment + 200, "/", 2);
    for (int i = 0; i < 3; i++)
        strcat(path, segment);
    strcat(path, "x.lua");
    put(lua, path, "return 1");
    CHECK(read_all(lua, NULL, NULL) == NULL);
    CHECK(why.code == ERR_INVALID && strstr(why.message, "too long") != NULL);
    free(lua);
}

static void packed_scripts_come_back_whole(void) {
    struct err err;
    struct scripts *scripts = NULL, *earlier = NULL, *back = NULL;
    const char text[] = "return 'a\0b'";
    CHECK(scripts_begin(&scripts, &err) == 0 && scripts_begin(&earlier, &err) == 0);
    CHECK(scripts_add(scripts, "a.lua", text, sizeof text - 1, "/x/a.lua", &err) == 0);
    CHECK(scripts_add(scripts, "b/c.lua", "", 0, "/x/b/c.lua", &err) == 0);
    CHECK(scripts_add(earlier, "a.lua", text, sizeof text - 1, "/y/a.lua", &err) == 0);
    CHECK(scripts_seal(scripts, &err) == 0 && scripts_seal(earlier, &err) == 0);
    scripts_mark_known(scripts, earlier);
    size_t size;
    char *packed = scripts_pack(scripts, &size);
    CHECK(scripts_unpack(packed, size, &back, &err) == 0);
    CHECK_TEXT(scripts_name(back), scripts_name(scripts));
    const struct script *first = scripts_at(back, 0), *second = scripts_at(back, 1);
    CHECK(first->size == sizeof text - 1 && memcmp(first->text, text, sizeof text) == 0);
    CHECK_TEXT(first->origin, "/x/a.lua");
    CHECK_TEXT(second->path, "b/c.lua");
    CHECK(first->known && !second->known);
    for (size_t cut = 1; cut < size; cut++) {
        struct scripts *half = NULL;
        if (scripts_unpack(packed, cut, &half, &err) == 0)
            CHECK(scripts_count(half) == 1); /* cut between the two */
        else
            CHECK(err.code == ERR_CORRUPT);
        scripts_free(half);
    }
    free(packed);
    scripts_free(scripts);
    scripts_free(earlier);
    scripts_free(back);
}

int main(void) {
    static const struct test tests[] = {
        TEST(scripts_are_found_by_their_paths),
        TEST(what_is_no_script_is_passed_over),
        TEST(a_workspace_lies_over_the_built_in_scripts),
        TEST(a_name_depends_on_contents_alone),
        TEST(names_tell_paths_from_texts),
        TEST(texts_that_were_kept_give_the_same_name),
        TEST(compiled_scripts_are_refused),
        TEST(scripts_have_a_greatest_size),
        TEST(a_folder_that_is_not_there_is_named),
        TEST(what_cannot_be_read_is_an_error),
        TEST(links_are_followed_but_not_in_circles),
        TEST(folders_have_a_greatest_depth),
        TEST(paths_have_a_greatest_length),
        TEST(packed_scripts_come_back_whole),
    };
    return RUN(tests);
}
