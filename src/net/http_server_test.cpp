// Rows of the fault catalogue and the server's limits, each over a real socket. One file, long
// because all of them stand on the same fixture.

#include "net/http_server.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "net/test_support.h"

namespace weir::net {
namespace {

using namespace std::chrono_literals;
using test::kPatience;
using test::RawPeer;
using test::Signal;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// Says what it got: "METHOD path [query] body".
void echo(HttpRequest request, const std::shared_ptr<HttpResponder>& responder, std::stop_token) {
    responder->reply(
        {200,
         {{"X-Peer", request.peer_address}},
         request.method + " " + request.path + " [" + request.query + "] " + request.body});
}

class Server {
  public:
    explicit Server(test::FunctionHandler::Function handle = echo, HttpServerLimits limits = {})
        : server(loop, limits, std::make_shared<test::FunctionHandler>(std::move(handle))) {
        port = server.listen_tcp("127.0.0.1", 0).value_or(0);
        loop.start();
    }
    ~Server() { loop.stop(); }

    // Everything that comes back for these bytes, until the server closes.
    std::string exchange(std::string_view bytes) const {
        const RawPeer peer = RawPeer::connect_tcp(port);
        peer.send(bytes);
        return peer.read_to_end();
    }

    Loop loop{{.threads = 2}};
    HttpServer server;
    uint16_t port = 0;
};

std::string get(std::string_view target, std::string_view fields = "") {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: weir\r\n" + std::string(fields) +
           "\r\n";
}

std::string last_get(std::string_view target) {
    return get(target, "Connection: close\r\n");
}

std::string post(std::string_view target, std::string_view fields, std::string_view body) {
    return "POST " + std::string(target) + " HTTP/1.1\r\nHost: weir\r\n" + std::string(fields) +
           "\r\n" + std::string(body);
}

// The raw peers of these tests do not close when they have read the end.
HttpServerLimits short_lingering() {
    HttpServerLimits limits;
    limits.drain_lingering_max = 30ms;
    return limits;
}

bool wait_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

TEST(HttpServer, AnswersARequestWithABody) {
    const Server server;
    const std::string answer =
        server.exchange(post("/a?b=c", "Content-Length: 5\r\nConnection: close\r\n", "hello"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
    EXPECT_THAT(answer, HasSubstr("Content-Length: 19\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, EndsWith("\r\n\r\nPOST /a [b=c] hello"));
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
    const Server server;
    const std::string answers =
        server.exchange(get("/1") + post("/2", "Content-Length: 1\r\n", "x") + last_get("/3"));
    const size_t first = answers.find("GET /1");
    const size_t second = answers.find("POST /2 [] x");
    const size_t third = answers.find("GET /3");
    ASSERT_NE(third, std::string::npos) << answers;
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
}

TEST(HttpServer, ReadsARequestThatComesByteByByte) {
    const Server server;
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    for (const char c : post("/slow", "Transfer-Encoding: chunked\r\nConnection: close\r\n",
                             "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: t\r\n\r\n")) {
        peer.send(std::string_view(&c, 1));
    }
    EXPECT_THAT(peer.read_to_end(), EndsWith("POST /slow [] abcde"));
}

TEST(HttpServer, StreamsInChunksAndEndsThem) {
    const Server server([](HttpRequest, const auto& responder, std::stop_token) {
        responder->start_stream(200, {{"Content-Type", "text/event-stream"}});
        responder->write("data: a\n\n");
        responder->write("");
        responder->write("data: b\n\n");
        responder->finish();
        EXPECT_FALSE(responder->write("late"));
    });
    const std::string answer = server.exchange(last_get("/"));
    EXPECT_THAT(answer, HasSubstr("Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"));
    EXPECT_THAT(answer, EndsWith("9\r\ndata: b\n\n\r\n0\r\n\r\n"));
}

TEST(HttpServer, SendsABodyOfManyBatchesWhole) {
    const std::string body(3'000'000, 'w');
    const Server server([&](HttpRequest, const auto& responder, std::stop_token) {
        responder->reply({200, {}, body});
    });
    EXPECT_THAT(server.exchange(last_get("/")), EndsWith("\r\n\r\n" + body));
}

TEST(HttpServer, AnswersFromAnotherThread) {
    std::jthread worker;
    const Server server([&](HttpRequest, std::shared_ptr<HttpResponder> responder, auto) {
        worker = std::jthread([responder = std::move(responder)] {
            responder->start_stream(200, {});
            for (int i = 0; i < 100; ++i) {
                responder->write("x");
            }
            responder->finish();
        });
    });
    EXPECT_THAT(server.exchange(last_get("/")), EndsWith("0\r\n\r\n"));
}

TEST(HttpServer, HeadHasNoBody) {
    const Server server;
    EXPECT_THAT(server.exchange("HEAD /a HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"),
                EndsWith("\r\n\r\n"));
}

TEST(HttpServer, Http10StreamsUntilTheEndOfTheConnection) {
    const Server server([](HttpRequest, const auto& responder, std::stop_token) {
        responder->start_stream(200, {});
        responder->write("plain");
        responder->finish();
    });
    const std::string answer = server.exchange("GET / HTTP/1.0\r\n\r\n");
    EXPECT_THAT(answer, Not(HasSubstr("chunked")));
    EXPECT_THAT(answer, EndsWith("\r\n\r\nplain"));
}

TEST(HttpServer, InvitesABodyThatWaitsForIt) {
    const Server server;
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(post("/", "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n", ""));
    EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("ok");
    EXPECT_THAT(peer.read_to_end(), EndsWith("POST / [] ok"));
}

TEST(HttpServer, ADroppedRequestGetsA500AndADroppedStreamIsCut) {
    const Server server([](HttpRequest request, const auto& responder, std::stop_token) {
        if (request.path == "/stream") {
            responder->start_stream(200, {});
            responder->write("a");
        }
    });
    EXPECT_THAT(server.exchange(last_get("/")), StartsWith("HTTP/1.1 500 "));
    const std::string cut = server.exchange(get("/stream"));
    EXPECT_THAT(cut, HasSubstr("1\r\na\r\n"));
    EXPECT_THAT(cut, Not(HasSubstr("0\r\n\r\n")));
}

TEST(HttpServer, AHandlerThatThrowsGets500) {
    const Server server([](HttpRequest, const auto&, std::stop_token) {
        throw std::runtime_error("from a library");
    });
    EXPECT_THAT(server.exchange(last_get("/")), StartsWith("HTTP/1.1 500 "));
}

TEST(HttpServer, AnAbortedStreamIsCut) {
    const Server server([](HttpRequest, const auto& responder, std::stop_token) {
        responder->start_stream(200, {});
        responder->write("part");
        responder->abort();
    });
    const std::string cut = server.exchange(get("/"));
    EXPECT_THAT(cut, HasSubstr("part"));
    EXPECT_THAT(cut, Not(HasSubstr("0\r\n\r\n")));
}

TEST(HttpServer, AnAnswersHeaderCannotBeginAnotherLine) {
    const Server server([](HttpRequest, const auto& responder, std::stop_token) {
        responder->reply({200, {{"X-Reason", "a\r\nInjected: yes"}, {"X-B", "b"}}, ""});
    });
    const std::string answer = server.exchange(last_get("/"));
    EXPECT_THAT(answer, Not(HasSubstr("Injected")));
    EXPECT_THAT(answer, HasSubstr("X-B: b\r\n"));
}

// ----------------------------------------------------------------------- the catalogue's HT rows

struct Smuggle {
    std::string name;
    std::string bytes;
};

class HT1 : public testing::TestWithParam<Smuggle> {};

TEST_P(HT1, IsAnswered400AndTheConnectionCloses) {
    std::atomic<int> handled = 0;
    const Server server([&](HttpRequest request, const auto& responder, std::stop_token token) {
        ++handled;
        echo(std::move(request), responder, std::move(token));
    });
    const std::string answer = server.exchange(GetParam().bytes + get("/smuggled"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(answer, Not(HasSubstr("200 OK")));
    EXPECT_EQ(handled, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Smuggling, HT1,
    testing::Values(
        Smuggle{"LengthAndEncoding",
                post("/", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
        Smuggle{"TwoLengths", post("/", "Content-Length: 0\r\nContent-Length: 5\r\n", "hello")},
        Smuggle{"PlusLength", post("/", "Content-Length: +5\r\n", "hello")},
        Smuggle{"HexLength", post("/", "Content-Length: 0x5\r\n", "hello")},
        Smuggle{"EncodingNotLast",
                post("/", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
        Smuggle{"EncodingIn10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        Smuggle{"FoldedLine", post("/", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
        Smuggle{"SpaceBeforeColon", post("/", "Content-Length : 5\r\n", "hello")},
        Smuggle{"TwoHosts", get("/", "Host: other\r\n")}),
    [](const auto& each) { return each.param.name; });

class HT2 : public testing::TestWithParam<Smuggle> {};

TEST_P(HT2, IsAnswered400AndTheConnectionCloses) {
    const Server server;
    const std::string answer = server.exchange(GetParam().bytes);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer, Not(HasSubstr("200 OK")));
}

INSTANTIATE_TEST_SUITE_P(
    Chunks, HT2,
    testing::Values(
        Smuggle{"NegativeSize", post("/", "Transfer-Encoding: chunked\r\n", "-2\r\nab\r\n")},
        Smuggle{"WrappingSize",
                post("/", "Transfer-Encoding: chunked\r\n", "fffffffffffffffe\r\nab\r\n")},
        Smuggle{"LineFeedsInChunks", post("/", "Transfer-Encoding: chunked\r\n", "2\nab\n0\n\n")},
        Smuggle{"LineFeedsInHead", "GET / HTTP/1.1\nHost: weir\n\n"},
        Smuggle{"GiantExtension", post("/", "Transfer-Encoding: chunked\r\n",
                                       "1;" + std::string(8000, 'x') + "\r\na\r\n")}),
    [](const auto& each) { return each.param.name; });

TEST(HttpServer, HT3_ChunksCountDecodedBytesAgainstTheBodyLimit) {
    HttpServerLimits limits;
    limits.body_bytes_max = 1000;
    const Server server(echo, limits);
    std::string body;
    for (int i = 0; i < 20; ++i) {
        body += "64\r\n" + std::string(100, 'x') + "\r\n";
    }
    EXPECT_THAT(server.exchange(post("/", "Transfer-Encoding: chunked\r\n", body)),
                StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(server.exchange(post("/", "Content-Length: 1001\r\n", "")),
                StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(server.exchange(post("/", "Content-Length: 1000\r\nConnection: close\r\n",
                                     std::string(1000, 'x'))),
                StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, HT3_BodiesOfAllConnectionsTogetherAreBounded) {
    HttpServerLimits limits;
    limits.bodies_bytes_max = 1500;
    Signal handled;
    std::shared_ptr<HttpResponder> kept;
    const Server server(
        [&](HttpRequest request, const auto& responder, std::stop_token token) {
            if (request.path == "/first") {
                kept = responder;
                handled.raise();
            } else {
                echo(std::move(request), responder, std::move(token));
            }
        },
        limits);
    const std::string fields = "Content-Length: 1000\r\nConnection: close\r\n";
    const std::string body(1000, 'x');
    const RawPeer first = RawPeer::connect_tcp(server.port);
    first.send(post("/first", fields, body));
    ASSERT_TRUE(handled.wait());
    EXPECT_THAT(server.exchange(post("/second", fields, body)), StartsWith("HTTP/1.1 503 "));
    kept->reply({200, {}, "done"});
    EXPECT_THAT(first.read_to_end(), EndsWith("done"));
    EXPECT_THAT(server.exchange(post("/third", fields, body)), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, HT4_UpgradeNeverOpensATunnel) {
    const Server server;
    const std::string answer =
        server.exchange(get("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n") + get("/hidden"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
    EXPECT_THAT(answer, Not(HasSubstr("101")));
    EXPECT_THAT(answer, Not(HasSubstr("/hidden")));
}

TEST(HttpServer, HT5_AnUnreadBodyIsNeverTakenForARequest) {
    HttpServerLimits limits;
    limits.body_bytes_max = 10;
    std::atomic<int> handled = 0;
    const Server server(
        [&](HttpRequest request, const auto& responder, std::stop_token token) {
            ++handled;
            echo(std::move(request), responder, std::move(token));
        },
        limits);
    const std::string smuggled = get("/smuggled");
    const std::string answer = server.exchange(
        post("/", "Content-Length: " + std::to_string(smuggled.size()) + "\r\n", smuggled));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(answer, Not(HasSubstr("smuggled")));
    EXPECT_EQ(handled, 0);
}

TEST(HttpServer, HT5_ARefusedBodyIsDrainedUpToACapOnly) {
    HttpServerLimits limits;
    limits.body_bytes_max = 10;
    limits.drain_bytes_max = 100'000;
    const Server server(echo, limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(post("/", "Content-Length: 1000000000\r\n", ""));
    const std::string part(65536, 'x');
    EXPECT_TRUE(wait_until([&] { return !peer.try_send(part); }));
}

TEST(HttpServer, HT6_GiantAndManyHeadersGet431) {
    const Server server;
    EXPECT_THAT(server.exchange(get("/", "A: " + std::string(70'000, 'x') + "\r\n")),
                StartsWith("HTTP/1.1 431 "));
    std::string many;
    for (int i = 0; i < 10'000; ++i) {
        many += "a:b\r\n";
    }
    EXPECT_THAT(server.exchange(get("/", many)), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpServer, HT7_HeadersAreNotPercentDecoded) {
    const Server server([](HttpRequest request, const auto& responder, std::stop_token) {
        responder->reply({200, {}, std::string(request.headers.find("a").value_or(""))});
    });
    EXPECT_THAT(server.exchange(get("/", "A: x%0d%0ay\r\nConnection: close\r\n")),
                EndsWith("\r\n\r\nx%0d%0ay"));
}

TEST(HttpServer, HT8_TheClientsAddressIsTheSockets) {
    const Server server;
    for (const char* forged : {"", "1.2.3.4", ",,,,", "\"><script>"}) {
        EXPECT_THAT(server.exchange(get("/", "X-Forwarded-For: " + std::string(forged) +
                                                 "\r\nConnection: close\r\n")),
                    HasSubstr("X-Peer: 127.0.0.1\r\n"));
    }
}

TEST(HttpServer, HT9_ASlowHeadEndsAtItsDeadline) {
    HttpServerLimits limits;
    limits.header_deadline = 50ms;
    const Server server(echo, limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send("GET / HTTP/1.1\r\nHost:");
    EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 408 "));
    EXPECT_THAT(RawPeer::connect_tcp(server.port).read_to_end(), IsEmpty()) << "sent nothing";
}

TEST(HttpServer, HT9_ABodyBelowTheLeastRateEnds) {
    HttpServerLimits limits;
    limits.body_rate_window = 50ms;
    const Server server(echo, limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(post("/", "Content-Length: 100000\r\n", "a few bytes"));
    EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, HT9_ABodyEndsAtItsDeadlineHoweverFastItIs) {
    HttpServerLimits limits;
    limits.body_rate_window = 10ms;
    limits.body_bytes_per_window_min = 0;
    limits.body_deadline = 60ms;
    const Server server(echo, limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(post("/", "Content-Length: 100000\r\n", "a few bytes"));
    EXPECT_THAT(peer.read_to_end(), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, HT9_AnIdleConnectionIsClosed) {
    HttpServerLimits limits;
    limits.idle_max = 30ms;
    const Server server(echo, limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(get("/"));
    EXPECT_THAT(peer.read_to_end(), EndsWith("GET / [] "));
}

TEST(HttpServer, HT9_AReaderThatNeverReadsIsCancelled) {
    HttpServerLimits limits;
    limits.write_stall_max = 50ms;
    Signal cancelled;
    std::jthread producer;
    const Server server(
        [&](HttpRequest, std::shared_ptr<HttpResponder> responder, std::stop_token token) {
            producer = std::jthread([&, responder = std::move(responder), token] {
                const std::stop_callback tell(token, [&] { cancelled.raise(); });
                responder->start_stream(200, {});
                const std::string piece(64 << 10, 'x');
                size_t most = 0;
                while (responder->write(piece)) {
                    most = std::max(most, responder->queued_bytes());
                    while (responder->queued_bytes() > (1 << 20) && !token.stop_requested()) {
                        std::this_thread::yield();
                    }
                }
                EXPECT_LE(most, size_t{2} << 20);
            });
        },
        limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(get("/"));
    EXPECT_TRUE(cancelled.wait());
    producer.join();
    EXPECT_EQ(server.server.stats().cancelled, 1u);
}

TEST(HttpServer, HT9_AQueueOverItsHardBoundIsCancelledAtOnce) {
    HttpServerLimits limits;
    limits.send_queue_bytes_hard_max = 8 << 20;
    Signal refused;
    std::jthread producer;
    const Server server(
        [&](HttpRequest, std::shared_ptr<HttpResponder> responder, std::stop_token) {
            producer = std::jthread([&, responder = std::move(responder)] {
                responder->start_stream(200, {});
                const std::string piece(64 << 10, 'x');
                while (responder->write(piece)) {
                    EXPECT_LE(responder->queued_bytes(), size_t{9} << 20);
                }
                refused.raise();
            });
        },
        limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(get("/"));
    EXPECT_TRUE(refused.wait());
}

TEST(HttpServer, HT10_HealthIsAnsweredWhileEveryOtherRequestWaits) {
    std::mutex mutex;
    std::vector<std::shared_ptr<HttpResponder>> waiting;
    const Server server([&](HttpRequest request, const auto& responder, std::stop_token token) {
        if (request.path == "/health") {
            echo(std::move(request), responder, std::move(token));
            return;
        }
        const std::lock_guard lock(mutex);
        waiting.push_back(responder);
    });
    std::vector<RawPeer> busy;
    for (int i = 0; i < 64; ++i) {
        busy.push_back(RawPeer::connect_tcp(server.port));
        busy.back().send(get("/busy"));
    }
    EXPECT_THAT(server.exchange(last_get("/health")), StartsWith("HTTP/1.1 200 "));
    const std::lock_guard lock(mutex);
    for (const auto& responder : waiting) {
        responder->reply({});
    }
}

TEST(HttpServer, HT11_AnHttp2PrefaceGets400) {
    const Server server;
    EXPECT_THAT(server.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(50, '\0')),
                StartsWith("HTTP/1.1 400 "));
}

TEST(HttpServer, HT13_PathTricksNeverReachAHandler) {
    std::atomic<int> handled = 0;
    const Server server([&](HttpRequest request, const auto& responder, std::stop_token token) {
        ++handled;
        echo(std::move(request), responder, std::move(token));
    });
    for (const char* target : {"//admin", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%2E%2E%2fadmin",
                               "/v1%2fadmin", "/./admin", "/a\\b", "http://weir/admin", "*"}) {
        EXPECT_THAT(server.exchange(get(target)), StartsWith("HTTP/1.1 400 ")) << target;
    }
    EXPECT_EQ(handled, 0);
    EXPECT_THAT(
        server.exchange(get("/x", "X-HTTP-Method-Override: DELETE\r\nConnection: close\r\n")),
        EndsWith("GET /x [] "));
}

TEST(HttpServer, AP10_AClientThatGoesAwayCancels) {
    for (const char* how : {"close", "half-close", "reset"}) {
        Signal started;
        Signal cancelled;
        std::shared_ptr<HttpResponder> kept;
        std::optional<std::stop_callback<std::function<void()>>> tell;
        Server server([&](HttpRequest, const auto& responder, std::stop_token token) {
            kept = responder;
            tell.emplace(token, [&] { cancelled.raise(); });
            responder->start_stream(200, {});
            responder->write("first");
            started.raise();
        });
        RawPeer peer = RawPeer::connect_tcp(server.port);
        peer.send(get("/"));
        EXPECT_TRUE(started.wait());
        peer.read_until("first");
        if (how == std::string_view("close")) {
            peer.close();
        } else if (how == std::string_view("reset")) {
            peer.reset();
        } else {
            peer.half_close();
        }
        EXPECT_TRUE(cancelled.wait()) << how;
        EXPECT_TRUE(wait_until([&] { return !kept->write("more"); })) << how;
        EXPECT_TRUE(wait_until([&] { return server.server.stats().connections_open == 0; })) << how;
    }
}

TEST(HttpServer, AP10_AClientThatFloodsBehindAnOpenAnswerIsGone) {
    HttpServerLimits limits;
    limits.pipelined_bytes_max = 10'000;
    Signal cancelled;
    std::shared_ptr<HttpResponder> kept;
    std::optional<std::stop_callback<std::function<void()>>> tell;
    Server server(
        [&](HttpRequest, const auto& responder, std::stop_token token) {
            kept = responder;
            tell.emplace(token, [&] { cancelled.raise(); });
        },
        limits);
    const RawPeer peer = RawPeer::connect_tcp(server.port);
    peer.send(get("/") + std::string(30'000, 'x'));
    EXPECT_TRUE(cancelled.wait());
    EXPECT_TRUE(wait_until([&] { return server.server.stats().connections_open == 0; }));
}

// ---------------------------------------------------------------------------- listening, ending

TEST(HttpServer, AUnixSocketIsTheOwnersOnly) {
    const test::TempFolder folder;
    const std::string path = folder.path("w.sock");
    {
        Server server;
        ASSERT_TRUE(server.server.listen_unix(path));
        struct stat info{};
        ASSERT_EQ(::stat(path.c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600u);
        const RawPeer peer = RawPeer::connect_unix(path);
        peer.send(last_get("/unix"));
        EXPECT_THAT(peer.read_to_end(), EndsWith("GET /unix [] "));
        EXPECT_EQ(server.server.listen_unix(path).error().code, ErrorCode::Conflict);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HttpServer, TakesOverASocketFileThatNobodyListensOn) {
    const test::TempFolder folder;
    const std::string path = folder.path("w.sock");
    {
        Server first;
        ASSERT_TRUE(first.server.listen_unix(path));
        std::filesystem::create_hard_link(path, folder.path("kept"));
    }
    std::filesystem::rename(folder.path("kept"), path);
    Server second;
    EXPECT_TRUE(second.server.listen_unix(path));
    std::ofstream(folder.path("file")) << "x";
    EXPECT_FALSE(second.server.listen_unix(folder.path("file")));
}

TEST(HttpServer, APortInUseIsAConflict) {
    Server server;
    const auto again = server.server.listen_tcp("127.0.0.1", server.port);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::Conflict);
    EXPECT_EQ(server.server.listen_tcp("localhost", 0).error().code, ErrorCode::InvalidArgument);
}

TEST(HttpServer, TooManyConnectionsGet503) {
    HttpServerLimits limits;
    limits.connections_max = 1;
    const Server server(echo, limits);
    const RawPeer first = RawPeer::connect_tcp(server.port);
    first.send(get("/"));
    first.read_until("[] ");
    EXPECT_THAT(RawPeer::connect_tcp(server.port).read_to_end(), StartsWith("HTTP/1.1 503 "));
}

TEST(HttpServer, DrainFinishesOpenRequestsAndClosesIdleConnections) {
    Signal started;
    Signal drained;
    std::shared_ptr<HttpResponder> kept;
    Server server(
        [&](HttpRequest request, const auto& responder, std::stop_token token) {
            if (request.path == "/open") {
                kept = responder;
                started.raise();
            } else {
                echo(std::move(request), responder, std::move(token));
            }
        },
        short_lingering());
    const RawPeer idle = RawPeer::connect_tcp(server.port);
    idle.send(get("/"));
    idle.read_until("[] ");
    const RawPeer open = RawPeer::connect_tcp(server.port);
    open.send(get("/open"));
    ASSERT_TRUE(started.wait());

    server.server.drain(kPatience, [&] { drained.raise(); });
    EXPECT_THAT(idle.read_to_end(), IsEmpty());
    kept->reply({200, {}, "done"});
    kept.reset();
    EXPECT_THAT(open.read_to_end(), AllOf(HasSubstr("Connection: close"), EndsWith("done")));
    EXPECT_TRUE(drained.wait());
}

TEST(HttpServer, PR3_DrainCancelsAtItsDeadlineAndALastEventStillGoesOut) {
    Signal started;
    Signal drained;
    std::shared_ptr<HttpResponder> kept;
    std::optional<std::stop_callback<std::function<void()>>> tell;
    Server server(
        [&](HttpRequest, const auto& responder, std::stop_token token) {
            kept = responder;
            responder->start_stream(200, {});
            responder->write("data: begun\n\n");
            tell.emplace(token, [&] {
                kept->write("data: error\n\n");
                kept->finish();
            });
            started.raise();
        },
        short_lingering());
    const RawPeer open = RawPeer::connect_tcp(server.port);
    open.send(get("/"));
    ASSERT_TRUE(started.wait());
    server.server.drain(20ms, [&] { drained.raise(); });
    EXPECT_THAT(open.read_to_end(), HasSubstr("data: error\n\n\r\n0\r\n\r\n"));
    EXPECT_TRUE(drained.wait());
}

TEST(HttpServer, DrainWithoutConnectionsIsDoneAtOnce) {
    Signal drained;
    Server server;
    server.server.drain(kPatience, [&] { drained.raise(); });
    EXPECT_TRUE(drained.wait());
}

}  // namespace
}  // namespace weir::net
