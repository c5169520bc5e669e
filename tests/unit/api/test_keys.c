/* /v2/keys: reading and writing, as a person does it with curl. */
#include "story.h"

static void a_key_is_set_read_changed_and_deleted(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/message", "value=Hello+world", 201,
          "{\"action\":\"set\",\"node\":{\"key\":\"/message\",\"value\":"
          "\"Hello world\",\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story(world, "GET /v2/keys/message", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/message\",\"value\":"
          "\"Hello world\",\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story(world, "PUT /v2/keys/message", "value=Hello+etcd", 200,
          "{\"action\":\"set\",\"node\":{\"key\":\"/message\",\"value\":"
          "\"Hello etcd\",\"modifiedIndex\":3,\"createdIndex\":3},"
          "\"prevNode\":{\"key\":\"/message\",\"value\":\"Hello world\","
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story(world, "DELETE /v2/keys/message", NULL, 200,
          "{\"action\":\"delete\",\"node\":{\"key\":\"/message\","
          "\"modifiedIndex\":4,\"createdIndex\":3},\"prevNode\":{\"key\":"
          "\"/message\",\"value\":\"Hello etcd\",\"modifiedIndex\":3,"
          "\"createdIndex\":3}}\n");
    story(world, "GET /v2/keys/message", NULL, 404,
          "{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":"
          "\"/message\",\"index\":4}\n");
}

static void an_answer_says_where_the_store_is(void **state)
{
    struct world *world = *state;
    /* Before it the log has the term's beginning, the members, the name. */
    struct reply reply =
        world_request(world, "PUT", "/v2/keys/a", NULL, "value=1");
    expect_text(reply.head, "HTTP/1.1 201 Created\r\n"
                            "Content-Type: application/json\r\n"
                            "X-Content-Type-Options: nosniff\r\n"
                            "X-Etcd-Cluster-Id: c1\r\n"
                            "X-Etcd-Index: 2\r\n"
                            "X-Raft-Index: 4\r\n"
                            "X-Raft-Term: 1\r\n"
                            "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                            "Content-Length: 84\r\n");
    story_header(world, "GET /v2/keys/a", NULL, "X-Etcd-Index", "2");
    story_header(world, "GET /v2/keys/a", NULL, "X-Raft-Index", "4");
    /* An error has no more than the index. */
    story_header(world, "GET /v2/keys/b", NULL, "X-Etcd-Index", "2");
    story_header(world, "GET /v2/keys/b", NULL, "X-Etcd-Cluster-Id", "c1");
    story_header(world, "GET /v2/keys/b", NULL, "X-Raft-Index", "-");
    /* One about the request itself not even that. */
    story_header(world, "GET /v2/keys/b?dir=x", NULL, "X-Etcd-Index", "0");
}

static void head_is_get_without_its_body(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story(world, "HEAD /v2/keys/a", NULL, 200, "");
    story_header(world, "HEAD /v2/keys/a", NULL, "Content-Length", "84");
    story(world, "HEAD /v2/keys/b", NULL, 404, "");
}

static void put_chooses_by_what_it_compares(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/a?prevExist=true", "value=1", 404,
          "{\"errorCode\":100,\"message\":\"Key not found\",\"cause\":\"/a\","
          "\"index\":1}\n");
    story(world, "PUT /v2/keys/a?prevExist=false", "value=1", 201,
          "{\"action\":\"create\",*");
    story(world, "PUT /v2/keys/a?prevExist=false", "value=1", 412,
          "{\"errorCode\":105,\"message\":\"Key already exists\",\"cause\":"
          "\"/a\",\"index\":2}\n");
    story(world, "PUT /v2/keys/a?prevExist=true", "value=2", 200,
          "{\"action\":\"update\",\"node\":{\"key\":\"/a\",\"value\":\"2\","
          "\"modifiedIndex\":3,\"createdIndex\":2},*");
    story(world, "PUT /v2/keys/a?prevValue=2", "value=3", 200,
          "{\"action\":\"compareAndSwap\",\"node\":{\"key\":\"/a\",\"value\":"
          "\"3\",\"modifiedIndex\":4,\"createdIndex\":2},*");
    story(world, "PUT /v2/keys/a?prevIndex=4", "value=4", 200,
          "{\"action\":\"compareAndSwap\",*");
    story(world, "PUT /v2/keys/a?prevExist=true&prevValue=x", "value=4", 412,
          "{\"errorCode\":101,\"message\":\"Compare failed\",\"cause\":"
          "\"[x != 4]\",\"index\":5}\n");
    story(world, "PUT /v2/keys/a?prevIndex=3", "value=4", 412,
          "*\"cause\":\"[3 != 5]\",\"index\":5}\n");
    story(world, "PUT /v2/keys/a?prevIndex=3&prevValue=y", "value=4", 412,
          "*\"cause\":\"[y != 4] [3 != 5]\",\"index\":5}\n");
    /* An index of 0 compares nothing. */
    story(world, "PUT /v2/keys/a?prevIndex=0", "value=4", 200,
          "{\"action\":\"set\",*");
    /* That there be none goes before all comparing. */
    story(world, "PUT /v2/keys/a?prevExist=false&prevValue=4", "value=5", 412,
          "{\"errorCode\":105,*");
}

static void delete_compares_too(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story(world, "DELETE /v2/keys/a?prevValue=2", NULL, 412,
          "*\"cause\":\"[2 != 1]\",\"index\":2}\n");
    story(world, "DELETE /v2/keys/a?prevIndex=7", NULL, 412,
          "*\"cause\":\"[7 != 2]\",\"index\":2}\n");
    story(world, "DELETE /v2/keys/a?prevValue=1&prevIndex=2", NULL, 200,
          "{\"action\":\"compareAndDelete\",\"node\":{\"key\":\"/a\","
          "\"modifiedIndex\":3,\"createdIndex\":2},\"prevNode\":{*}}\n");
    /* What a body says, DELETE doesn't hear. */
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story_status(world, "DELETE /v2/keys/a", "prevValue=2", 200);
}

static void post_makes_keys_in_order(void **state)
{
    struct world *world = *state;
    story(world, "POST /v2/keys/queue", "value=Job1", 201,
          "{\"action\":\"create\",\"node\":{\"key\":"
          "\"/queue/00000000000000000002\",\"value\":\"Job1\","
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story_status(world, "POST /v2/keys/queue", "value=Job2", 201);
    story(world, "GET /v2/keys/queue?recursive=true&sorted=true", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/queue\",\"dir\":true,"
          "\"nodes\":[{\"key\":\"/queue/00000000000000000002\",\"value\":"
          "\"Job1\",\"modifiedIndex\":2,\"createdIndex\":2},{\"key\":"
          "\"/queue/00000000000000000003\",\"value\":\"Job2\","
          "\"modifiedIndex\":3,\"createdIndex\":3}],\"modifiedIndex\":2,"
          "\"createdIndex\":2}}\n");
    story_status(world, "POST /v2/keys/", "value=1", 201);
    story_status(world, "POST /v2/keys", "dir=true", 201);
    story(world, "GET /v2/keys/00000000000000000005", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/00000000000000000005\","
          "\"dir\":true,*");
    story_status(world, "PUT /v2/keys/file", "value=1", 201);
    story(world, "POST /v2/keys/file", "value=1", 400,
          "{\"errorCode\":104,\"message\":\"Not a directory\",\"cause\":"
          "\"/file\",*");
}

static void directories_are_made_listed_and_removed(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/dir", "dir=true", 201,
          "{\"action\":\"set\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story(world, "PUT /v2/keys/dir", "dir=true", 403,
          "{\"errorCode\":102,\"message\":\"Not a file\",\"cause\":\"/dir\","
          "\"index\":2}\n");
    story(world, "GET /v2/keys/dir", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story_status(world, "PUT /v2/keys/dir/a", "value=x", 201);
    story_status(world, "PUT /v2/keys/dir/_h", "value=x", 201);
    story_status(world, "PUT /v2/keys/dir/b/c", "value=", 201);
    story(world, "GET /v2/keys/dir/", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"nodes\":[{\"key\":\"/dir/a\",\"value\":\"x\",\"modifiedIndex\":"
          "3,\"createdIndex\":3},{\"key\":\"/dir/b\",\"dir\":true,"
          "\"modifiedIndex\":5,\"createdIndex\":5}],\"modifiedIndex\":2,"
          "\"createdIndex\":2}}\n");
    story(world, "GET /v2/keys/dir?recursive=true", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"nodes\":[{\"key\":\"/dir/a\",\"value\":\"x\",\"modifiedIndex\":"
          "3,\"createdIndex\":3},{\"key\":\"/dir/b\",\"dir\":true,\"nodes\":"
          "[{\"key\":\"/dir/b/c\",\"value\":\"\",\"modifiedIndex\":5,"
          "\"createdIndex\":5}],\"modifiedIndex\":5,\"createdIndex\":5}],"
          "\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    /* What is hidden is found by its name only. */
    story(world, "GET /v2/keys/dir/_h", NULL, 200,
          "*\"key\":\"/dir/_h\",\"value\":\"x\",*");
    story(world, "DELETE /v2/keys/dir", NULL, 403,
          "{\"errorCode\":102,\"message\":\"Not a file\",\"cause\":\"/dir\",*");
    story(world, "DELETE /v2/keys/dir?dir=true", NULL, 403,
          "{\"errorCode\":108,\"message\":\"Directory not empty\",\"cause\":"
          "\"/dir\",\"index\":5}\n");
    story(world, "DELETE /v2/keys/dir?recursive=true", NULL, 200,
          "{\"action\":\"delete\",\"node\":{\"key\":\"/dir\",\"dir\":true,"
          "\"modifiedIndex\":6,\"createdIndex\":2},\"prevNode\":{\"key\":"
          "\"/dir\",\"dir\":true,\"modifiedIndex\":2,\"createdIndex\":2}}\n");
    story(world, "GET /v2/keys/dir/a", NULL, 404, "*\"cause\":\"/dir\",*");
}

static void the_root_is_a_directory_that_stays(void **state)
{
    struct world *world = *state;
    const char *root =
        "{\"errorCode\":107,\"message\":\"Root is read only\",\"cause\":"
        "\"/\",\"index\":1}\n";
    story(world, "GET /v2/keys", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"dir\":true}}\n");
    story(world, "PUT /v2/keys/", "value=1", 400, root);
    story(world, "PUT /v2/keys/?dir=true", NULL, 400, root);
    story(world, "DELETE /v2/keys/", NULL, 400, root);
    story(world, "DELETE /v2/keys?recursive=true", NULL, 400, root);
    story_status(world, "PUT /v2/keys/a/b", "value=1", 201);
    story(world, "GET /v2/keys/", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":"
          "\"/a\",\"dir\":true,\"modifiedIndex\":2,\"createdIndex\":2}]}}\n");
    story(world, "GET /v2/keys?recursive=true", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":[{\"key\":"
          "\"/a\",\"dir\":true,\"nodes\":[{\"key\":\"/a/b\",*}]*}]}}\n");
}

static void a_file_is_no_directory(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/f", "value=1", 201);
    story(world, "GET /v2/keys/f/x", NULL, 400,
          "{\"errorCode\":104,\"message\":\"Not a directory\",\"cause\":"
          "\"/f\",\"index\":2}\n");
    story(world, "PUT /v2/keys/f/x", "value=1", 400,
          "{\"errorCode\":104,\"message\":\"Not a directory\",\"cause\":"
          "\"/f\",\"index\":2}\n");
}

static void no_value_on_success(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/a?noValueOnSuccess=true", "value=1", 201,
          "{\"action\":\"set\"}\n");
    story(world, "PUT /v2/keys/a?noValueOnSuccess=true&prevValue=1", "value=2",
          200, "{\"action\":\"compareAndSwap\"}\n");
    story(world, "POST /v2/keys/q?noValueOnSuccess=true", "value=1", 201,
          "{\"action\":\"create\"}\n");
    /* Errors say all they have to say. */
    story(world, "PUT /v2/keys/a?noValueOnSuccess=true&prevValue=1", "value=2",
          412, "*\"cause\":\"[1 != 2]\",*");
    /* There is no value in what a DELETE made. */
    story(world, "DELETE /v2/keys/a?noValueOnSuccess=true", NULL, 200,
          "{\"action\":\"delete\",\"node\":{*},\"prevNode\":{*}}\n");
}

static void values_are_bytes(void **state)
{
    struct world *world = *state;
    story(world, "PUT /v2/keys/a%3Cb", "value=%3C%3E%26%22%5C%00%01%ff", 201,
          "{\"action\":\"set\",\"node\":{\"key\":\"/a\\u003cb\",\"value\":"
          "\"\\u003c\\u003e\\u0026\\\"\\\\\\u0000\\u0001\\ufffd\",*");
    story(world, "PUT /v2/keys/a%20b+c", "value=%E4%BD%A0", 201,
          "*\"key\":\"/a b+c\",\"value\":\"\xe4\xbd\xa0\",*");
    story(world, "GET /v2/keys/a%20b%2Bc", NULL, 200, "*\"key\":\"/a b+c\",*");
    /* An encoded slash is a slash. */
    story(world, "PUT /v2/keys/d%2ff", "value=1", 201, "*\"key\":\"/d/f\",*");
}

static void a_large_value_comes_back_whole(void **state)
{
    struct world *world = *state;
    size_t size = 1000000;
    struct buf form = {0};
    buf_append_str(&form, "value=");
    memset(buf_extend(&form, size), 'x', size);
    buf_append_char(&form, '\0');
    struct reply reply =
        world_request(world, "PUT", "/v2/keys/large", NULL, form.at);
    assert_int_equal(reply.status, 201);
    reply = world_request(world, "GET", "/v2/keys/large", NULL, NULL);
    assert_int_equal(reply.status, 200);
    assert_true(reply.body.size > size);
    buf_append_str(&form, "more than may be");
    char *longer = mem_alloc_zero(WORLD_BODY_BYTES_MAX + 2);
    memset(longer, 'x', WORLD_BODY_BYTES_MAX + 1);
    reply = world_request(world, "PUT", "/v2/keys/large", NULL, longer);
    assert_int_equal(reply.status, 413);
    mem_free(longer);
    buf_deinit(&form);
}

/* Where the wire takes more, for another API's sake. */
static void a_body_has_a_bound_of_its_own(void **state)
{
    struct world *world = *state;
    world->shared.body_bytes_max = 100;
    struct buf form = {0};
    buf_append_str(&form, "value=");
    memset(buf_extend(&form, 94), 'x', 94);
    buf_append_char(&form, '\0');
    story_status(world, "PUT /v2/keys/a", form.at, 201);
    form.size--;
    buf_append(&form, "y", 2);
    story(world, "PUT /v2/keys/a", form.at, 413,
          "413 Request Entity Too Large*");
    story(world, "PUT /v2/keys/a", "value=1", 200, "*");
    buf_deinit(&form);
}

static void writes_are_answered_after_a_restart(void **state)
{
    struct world *world = *state;
    story_status(world, "PUT /v2/keys/a", "value=1", 201);
    story_status(world, "PUT /v2/keys/b", "value=2", 201);
    world_crash(world);
    world_open(world);
    story(world, "GET /v2/keys/b", NULL, 200,
          "{\"action\":\"get\",\"node\":{\"key\":\"/b\",\"value\":\"2\","
          "\"modifiedIndex\":3,\"createdIndex\":3}}\n");
    story(world, "PUT /v2/keys/a", "value=3", 200,
          "{\"action\":\"set\",\"node\":{\"key\":\"/a\",\"value\":\"3\","
          "\"modifiedIndex\":4,\"createdIndex\":4},\"prevNode\":{*}}\n");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *world = *state;
    struct client *client = client_new(world);
    struct reply reply;
    client_ask(client, "PUT", "/v2/keys/a", NULL, "value=1");
    client_ask(client, "GET", "/v2/keys/a", NULL, NULL);
    client_ask(client, "DELETE", "/v2/keys/a", NULL, NULL);
    client_ask(client, "GET", "/v2/keys/a", NULL, NULL);
    world_turn(world);
    const int statuses[] = {201, 200, 200, 404};
    for (size_t i = 0; i < 4; i++) {
        assert_true(client_reply(client, false, &reply));
        assert_int_equal(reply.status, statuses[i]);
        client_next(client, &reply);
    }
    client_free(client);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)
    const struct CMUnitTest tests[] = {
        STORY(a_key_is_set_read_changed_and_deleted),
        STORY(an_answer_says_where_the_store_is),
        STORY(head_is_get_without_its_body),
        STORY(put_chooses_by_what_it_compares),
        STORY(delete_compares_too),
        STORY(post_makes_keys_in_order),
        STORY(directories_are_made_listed_and_removed),
        STORY(the_root_is_a_directory_that_stays),
        STORY(a_file_is_no_directory),
        STORY(no_value_on_success),
        STORY(values_are_bytes),
        STORY(a_large_value_comes_back_whole),
        STORY(a_body_has_a_bound_of_its_own),
        STORY(writes_are_answered_after_a_restart),
        STORY(pipelined_requests_are_answered_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
