// What peers can do to the client, each over a real socket. One file, long because all of it stands
// on the same fixture and the same misbehaving peers.

#include "net/http_client.h"

#include <gmock/gmock.h>

#include <atomic>

#include "net/test_support.h"

namespace weir::net {
namespace {

using namespace std::chrono_literals;
using test::fetch;
using test::RawPeer;
using test::RecordingSink;
using test::ScriptedServer;
using test::Signal;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Kind = HttpFailureKind;

class Client {
  public:
    explicit Client(HttpClientOptions options = {}, unsigned threads = 2)
        : loop({threads}), client(loop, options) {
        loop.start();
    }
    ~Client() { loop.stop(); }

    Loop loop;
    HttpClient client;
};

OutboundPermit permit_for(const TcpPeer& peer) {
    return policy::Gate::permit(peer.origin.text());
}

HttpClientRequest post(std::string body = "{}") {
    HttpClientRequest request;
    request.target = "/v1/chat/completions";
    request.headers = {{"Authorization", "Bearer canary-key"}};
    request.body = std::move(body);
    return request;
}

void expect_failure(const RecordingSink& sink, Kind kind) {
    ASSERT_TRUE(sink.failure()) << "status " << sink.status() << " body " << sink.body();
    EXPECT_EQ(sink.failure()->kind, kind) << sink.failure()->message;
    EXPECT_EQ(sink.ends(), 1);
    EXPECT_THAT(sink.failure()->message, Not(HasSubstr("canary")));  // SE1
    EXPECT_THAT(sink.failure()->message, Not(HasSubstr("127.0.0.1")));
}

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// Answers every request of every connection with the same bytes.

std::function<void(RawPeer&)> answering(std::string answer) {
    return [answer = std::move(answer)](RawPeer& peer) {
        while (!peer.read_request().empty()) {
            peer.send(answer);
        }
    };
}

std::function<void(RawPeer&)> answering_once(std::string answer) {
    return [answer = std::move(answer)](RawPeer& peer) {
        peer.read_request();
        peer.send(answer);
        peer.close();
    };
}

TEST(HttpClient, SendsARequestAndReadsTheAnswer) {
    std::string seen;
    const ScriptedServer server([&](RawPeer& peer) {
        seen = peer.read_request();
        peer.send("HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello");
    });
    Client client;
    const auto sink = fetch(client.client, server.peer(), post("{\"a\":1}"));
    EXPECT_EQ(sink->status(), 201);
    EXPECT_EQ(sink->header("x-a"), "b");
    EXPECT_EQ(sink->body(), "hello");
    EXPECT_EQ(sink->ends(), 1);
    EXPECT_EQ(seen, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:" +
                        std::to_string(server.port()) +
                        "\r\nAccept-Encoding: identity\r\nAuthorization: Bearer canary-key\r\n"
                        "Content-Length: 7\r\n\r\n{\"a\":1}");
}

TEST(HttpClient, ReadsChunksAndInterimAnswers) {
    const ScriptedServer server(answering_once(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"));
    Client client;
    EXPECT_EQ(fetch(client.client, server.peer(), post())->body(), "abcd");
}

TEST(HttpClient, ReadsABodyThatEndsWithTheConnection) {
    const ScriptedServer server(answering_once("HTTP/1.1 200 OK\r\n\r\nall of it"));
    Client client;
    const auto sink = fetch(client.client, server.peer(), post());
    EXPECT_FALSE(sink->failure());
    EXPECT_EQ(sink->body(), "all of it");
}

TEST(HttpClient, SendsALargeBody) {
    const std::string body(5'000'000, 'w');
    std::atomic<size_t> seen = 0;
    const ScriptedServer server([&](RawPeer& peer) {
        seen = peer.read_request().size();
        peer.send(kOk);
    });
    Client client;
    EXPECT_EQ(fetch(client.client, server.peer(), post(body))->body(), "ok");
    EXPECT_GT(seen, body.size());
}

TEST(HttpClient, ReusesAConnection) {
    const ScriptedServer server(answering(std::string(kOk)));
    // With two threads the answer may overtake the news that the request is written; the next call
    // then opens a second connection, which is no fault.
    Client client({}, 1);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(fetch(client.client, server.peer(), post())->body(), "ok");
    }
    EXPECT_EQ(server.connections(), 1);
    EXPECT_EQ(client.client.stats().connections_reused, 4u);
}

TEST(HttpClient, ClosesAnIdleConnectionAfterAWhile) {
    const ScriptedServer server(answering(std::string(kOk)));
    HttpClientOptions options;
    options.idle_max = 10ms;
    Client client(options);
    fetch(client.client, server.peer(), post());
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (client.client.stats().connections_open > 0 && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
    EXPECT_EQ(client.client.stats().connections_open, 0u);
    EXPECT_EQ(client.client.stats().connections_idle, 0u);
}

TEST(HttpClient, DoesNotReuseAConnectionThatWasToClose) {
    const ScriptedServer server(
        answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
    Client client;
    fetch(client.client, server.peer(), post());
    fetch(client.client, server.peer(), post());
    EXPECT_EQ(server.connections(), 2);
}

TEST(HttpClient, SpeaksOverAUnixSocketWithoutAPermit) {
    const test::TempFolder folder;
    Client client({}, 1);
    HttpServer server(
        client.loop, {},
        std::make_shared<test::FunctionHandler>(
            [](HttpRequest request, std::shared_ptr<HttpResponder> responder, std::stop_token) {
                responder->start_stream(200, {});
                responder->write(request.host);
                responder->write(request.body);
                responder->finish();
            }));
    ASSERT_TRUE(server.listen_unix(folder.path("w.sock")));
    for (int i = 0; i < 2; ++i) {
        auto sink = std::make_shared<RecordingSink>();
        client.client.send_unix(folder.path("w.sock"), post("body"), sink);
        ASSERT_TRUE(sink->wait_for_end());
        EXPECT_EQ(sink->body(), "localhostbody");
    }
    EXPECT_EQ(client.client.stats().connections_made, 1u);
    client.loop.stop();
    client.loop.join();
}

TEST(HttpClient, RefusesHeadersThatAreNotTheCallersOrCouldBeginALine) {
    const ScriptedServer server(answering(std::string(kOk)));
    Client client;
    for (const Header& bad : {Header{"Host", "x"}, Header{"Content-Length", "1"},
                              Header{"transfer-encoding", "chunked"}, Header{"A", "b\r\nC: d"},
                              Header{"A b", "c"}, Header{"", "c"}}) {
        HttpClientRequest request = post();
        request.headers.add(bad.name, bad.value);
        expect_failure(*fetch(client.client, server.peer(), std::move(request)),
                       Kind::InvalidRequest);
    }
    for (const char* target : {"", "x", "/a b", "/a\r\nX: y", "/a#b"}) {
        HttpClientRequest request = post();
        request.target = target;
        expect_failure(*fetch(client.client, server.peer(), std::move(request)),
                       Kind::InvalidRequest);
    }
    EXPECT_EQ(server.connections(), 0);
}

// ----------------------------------------------------------------------------------- promise 1

TEST(OutboundPermit, IsForOneOriginAndIsUsedUp) {
    static_assert(!std::is_copy_constructible_v<OutboundPermit>);
    static_assert(!std::is_default_constructible_v<OutboundPermit>);
    OutboundPermit permit = policy::Gate::permit("https://a.example:443");
    EXPECT_TRUE(permit.allows("https://a.example:443"));
    EXPECT_FALSE(permit.allows("http://a.example:443"));
    EXPECT_FALSE(permit.allows("https://b.example:443"));
    const OutboundPermit taken = std::move(permit);
    EXPECT_FALSE(permit.allows("https://a.example:443"));  // NOLINT: that is what is tested
    EXPECT_FALSE(permit.allows(""));
    EXPECT_TRUE(taken.allows("https://a.example:443"));
}

TEST(HttpClient, WithoutAPermitForThePeerNothingIsConnected) {
    const ScriptedServer server(answering(std::string(kOk)));
    Client client;
    const TcpPeer peer = server.peer();
    OutboundPermit moved = permit_for(peer);
    const OutboundPermit elsewhere = std::move(moved);
    std::vector<OutboundPermit> wrong;
    wrong.push_back(policy::Gate::permit("http://127.0.0.1:1"));
    wrong.push_back(policy::Gate::permit("https://127.0.0.1:" + std::to_string(server.port())));
    wrong.push_back(std::move(moved));
    for (OutboundPermit& permit : wrong) {
        auto sink = std::make_shared<RecordingSink>();
        client.client.send(peer, post(), std::move(permit), sink);
        ASSERT_TRUE(sink->wait_for_end());
        expect_failure(*sink, Kind::PermitRefused);
    }
    EXPECT_EQ(server.connections(), 0);
}

TEST(HttpClient, APooledConnectionNeedsAPermitAsWell) {
    std::atomic<int> requests = 0;
    const ScriptedServer server([&](RawPeer& peer) {
        while (!peer.read_request().empty()) {
            ++requests;
            peer.send(kOk);
        }
    });
    Client client;
    fetch(client.client, server.peer(), post());
    auto sink = std::make_shared<RecordingSink>();
    client.client.send(server.peer(), post(), policy::Gate::permit("http://other:80"), sink);
    ASSERT_TRUE(sink->wait_for_end());
    expect_failure(*sink, Kind::PermitRefused);
    EXPECT_EQ(requests, 1);
}

// --------------------------------------------------------------------- the catalogue's UP rows

TEST(HttpClient, UP1_ACutBodyIsAnErrorNeverAnEnd) {
    Client client;
    for (const char* answer :
         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"}) {
        const ScriptedServer server(answering_once(answer));
        const auto sink = fetch(client.client, server.peer(), post());
        expect_failure(*sink, Kind::Truncated);
        EXPECT_EQ(sink->body(), "half");
        EXPECT_TRUE(sink->failure()->request_sent);
        EXPECT_TRUE(sink->failure()->answer_began);
    }
}

TEST(HttpClient, UP1_AResetInABodyThatEndsWithTheConnectionIsAnError) {
    Signal read;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nhalf");
        read.wait();
        peer.reset();
    });
    Client client;
    auto sink = std::make_shared<RecordingSink>();
    client.client.send(server.peer(), post(), permit_for(server.peer()), sink);
    EXPECT_TRUE(sink->wait_for_body("half"));
    read.raise();
    ASSERT_TRUE(sink->wait_for_end());
    expect_failure(*sink, Kind::Truncated);
}

TEST(HttpClient, UP1_ACutHeadOrNoAnswerIsAnError) {
    Client client;
    const ScriptedServer cut(answering_once("HTTP/1.1 200 OK\r\nConte"));
    expect_failure(*fetch(client.client, cut.peer(), post()), Kind::Truncated);
    const ScriptedServer silent(answering_once(""));
    const auto sink = fetch(client.client, silent.peer(), post());
    expect_failure(*sink, Kind::Truncated);
    EXPECT_FALSE(sink->failure()->answer_began);
}

TEST(HttpClient, AStaleConnectionIsReportedAndNotRetried) {
    std::atomic<int> requests = 0;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_request();
        ++requests;
        peer.send(kOk);
        peer.read_request();  // the second on this connection gets no answer
        ++requests;
        peer.close();
    });
    Client client;
    fetch(client.client, server.peer(), post());
    const auto sink = fetch(client.client, server.peer(), post());
    expect_failure(*sink, Kind::StaleConnection);
    EXPECT_FALSE(sink->failure()->answer_began);
    EXPECT_EQ(requests, 2);
    EXPECT_EQ(fetch(client.client, server.peer(), post())->body(), "ok") << "a fresh connection";
    EXPECT_EQ(server.connections(), 2);
}

TEST(HttpClient, UP5_EveryWaitHasItsOwnLimit) {
    Signal end;
    const ScriptedServer server([&](RawPeer& peer) {
        const std::string request = peer.read_request();
        if (request.find("/stall") != std::string::npos) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal");
        } else if (request.find("/head") != std::string::npos) {
            peer.send("HTTP/1.1 200 OK\r\nA: ");
        } else if (request.find("/drip") != std::string::npos) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            while (peer.try_send("x")) {
                std::this_thread::yield();
            }
        }
        end.wait();
    });
    Client client;
    const auto fetch_with = [&](const char* target, auto set) {
        HttpClientRequest request = post();
        request.target = target;
        set(request.limits);
        return fetch(client.client, server.peer(), std::move(request));
    };
    expect_failure(*fetch_with("/silent", [](auto& limits) { limits.first_byte_max = 30ms; }),
                   Kind::FirstByteTimeout);
    const auto stalled =
        fetch_with("/stall", [](auto& limits) { limits.between_bytes_max = 30ms; });
    expect_failure(*stalled, Kind::StallTimeout);
    EXPECT_EQ(stalled->body(), "hal");
    expect_failure(*fetch_with("/head", [](auto& limits) { limits.between_bytes_max = 30ms; }),
                   Kind::StallTimeout);
    expect_failure(*fetch_with("/silent", [](auto& limits) { limits.total_max = 30ms; }),
                   Kind::TotalTimeout);
    expect_failure(*fetch_with("/drip", [](auto& limits) { limits.total_max = 50ms; }),
                   Kind::TotalTimeout);
    end.raise();
}

TEST(HttpClient, UP5_ATlsPeerThatNeverAnswersTheHandshakeTimesOut) {
    Signal end;
    const ScriptedServer server([&](RawPeer&) { end.wait(); });
    Client client;
    HttpClientRequest request = post();
    request.limits.connect_max = 50ms;
    const TcpPeer peer{{Scheme::Https, "127.0.0.1", server.port()}, {}};
    expect_failure(*fetch(client.client, peer, std::move(request)), Kind::ConnectTimeout);
    end.raise();
}

TEST(HttpClient, UP6_AWrongLengthIsAnErrorAndTheConnectionIsDiscarded) {
    const ScriptedServer server(
        answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nmore than two"));
    Client client;
    for (int i = 0; i < 2; ++i) {
        expect_failure(*fetch(client.client, server.peer(), post()), Kind::ProtocolError);
    }
    EXPECT_EQ(server.connections(), 2);
}

TEST(HttpClient, UP6_AFloodOfInterimAnswersIsAnError) {
    const ScriptedServer server([](RawPeer& peer) {
        peer.read_request();
        while (peer.try_send("HTTP/1.1 102 Processing\r\n\r\n")) {
        }
    });
    Client client;
    expect_failure(*fetch(client.client, server.peer(), post()), Kind::ProtocolError);
}

TEST(HttpClient, UP6_WhatNobodyAskedForIsRefused) {
    Client client;
    for (const char* answer :
         {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
          "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"}) {
        const ScriptedServer server(answering_once(answer));
        expect_failure(*fetch(client.client, server.peer(), post()), Kind::ProtocolError);
    }
}

TEST(HttpClient, UP6_BodiesAndHeadsAreCapped) {
    HttpClientRequest request = post();
    request.limits.body_bytes_max = 100;
    request.limits.header_bytes_max = 1000;
    Client client;
    for (const std::string& answer :
         {std::string("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"),
          "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'),
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x'),
          "HTTP/1.1 200 OK\r\nA: " + std::string(1000, 'x')}) {
        const ScriptedServer server(answering_once(answer));
        expect_failure(*fetch(client.client, server.peer(), request), Kind::AnswerTooLarge);
    }
}

TEST(HttpClient, UP11_ACancelledCallsConnectionIsNeverReused) {
    Signal end;
    std::atomic<int> connection = 0;
    const ScriptedServer server([&](RawPeer& peer) {
        const bool first = ++connection == 1;
        peer.read_request();
        peer.send(first ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsec" : kOk);
        end.wait();
        peer.send("ret");
    });
    Client client;
    std::stop_source cancel;
    auto sink = std::make_shared<RecordingSink>();
    client.client.send(server.peer(), post(), permit_for(server.peer()), sink, cancel.get_token());
    EXPECT_TRUE(sink->wait_for_body("sec"));
    cancel.request_stop();
    ASSERT_TRUE(sink->wait_for_end());
    expect_failure(*sink, Kind::Cancelled);
    EXPECT_EQ(fetch(client.client, server.peer(), post())->body(), "ok");
    EXPECT_EQ(server.connections(), 2);
    end.raise();
}

TEST(HttpClient, UP11_BytesOnAnIdleConnectionCloseIt) {
    Signal answered;
    Signal closed;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_request();
        peer.send(kOk);
        answered.wait();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        if (peer.read_to_end().empty()) {
            closed.raise();
        }
    });
    Client client;
    EXPECT_EQ(fetch(client.client, server.peer(), post())->body(), "ok");
    answered.raise();
    EXPECT_TRUE(closed.wait());
}

TEST(HttpClient, AnAnswerMayComeBeforeTheRequestIsAllWritten) {
    const std::string body(20'000'000, 'w');
    Signal ended;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_until("\r\n\r\n");
        peer.send(kOk);
        ended.wait();
        size_t left = body.size();
        while (left > 0) {
            left -= std::min(left, peer.read_some().size());
        }
        peer.read_until("never");
    });
    Client client;
    EXPECT_EQ(fetch(client.client, server.peer(), post(body))->body(), "ok");
    ended.raise();
    const auto end = std::chrono::steady_clock::now() + test::kPatience;
    while (client.client.stats().connections_idle == 0 && client.client.stats().connections_open &&
           std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
    }
    EXPECT_EQ(client.client.stats().connections_idle, 1u);
}

TEST(HttpClient, UP11_AnAnswerOutOfTurnIsNobodysAnswer) {
    Signal sent;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_request();
        peer.send(kOk);
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        sent.raise();
        peer.read_request();
        peer.send(kOk);
    });
    Client client;
    for (int i = 0; i < 3; ++i) {
        const auto sink = fetch(client.client, server.peer(), post());
        ASSERT_TRUE(sent.wait());
        EXPECT_THAT(sink->body(), Not(HasSubstr("forged"))) << "round " << i;
        if (sink->failure()) {
            EXPECT_EQ(sink->failure()->kind, Kind::ProtocolError);
        }
        const auto end = std::chrono::steady_clock::now() + test::kPatience;
        while (client.client.stats().connections_open > 0 &&
               std::chrono::steady_clock::now() < end) {
            std::this_thread::yield();
        }
    }
}

TEST(HttpClient, ACancelledTokenSendsNothing) {
    const ScriptedServer server(answering(std::string(kOk)));
    Client client;
    std::stop_source cancel;
    cancel.request_stop();
    auto sink = std::make_shared<RecordingSink>();
    client.client.send(server.peer(), post(), permit_for(server.peer()), sink, cancel.get_token());
    ASSERT_TRUE(sink->wait_for_end());
    expect_failure(*sink, Kind::Cancelled);
    EXPECT_EQ(server.connections(), 0);
}

TEST(HttpClient, TheEndOfTheClientEndsItsCalls) {
    Signal end;
    Signal asked;
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_request();
        asked.raise();
        end.wait();
    });
    Loop loop;
    loop.start();
    auto client = std::make_unique<HttpClient>(loop);
    auto sink = std::make_shared<RecordingSink>();
    client->send(server.peer(), post(), permit_for(server.peer()), sink);
    ASSERT_TRUE(asked.wait());
    client.reset();
    ASSERT_TRUE(sink->wait_for_end());
    expect_failure(*sink, Kind::Cancelled);
    end.raise();
    loop.stop();
    loop.join();
}

TEST(HttpClient, ARefusedConnectionIsAConnectFailure) {
    uint16_t port = 0;
    {
        const ScriptedServer gone([](RawPeer&) {});
        port = gone.port();
    }
    Client client;
    const TcpPeer peer{{Scheme::Http, "127.0.0.1", port}, {}};
    const auto sink = fetch(client.client, peer, post());
    expect_failure(*sink, Kind::ConnectFailed);
    EXPECT_FALSE(sink->failure()->request_sent);
    EXPECT_EQ(sink->failure()->to_error().code, ErrorCode::Unavailable);
}

TEST(HttpClient, TooManyConnectionsAreRefused) {
    HttpClientOptions options;
    options.connections_max = 0;
    Client client(options);
    expect_failure(*fetch(client.client, {{Scheme::Http, "127.0.0.1", 1}, {}}, post()),
                   Kind::ConnectFailed);
}

// ----------------------------------------------------------------------------------------- TLS

class TlsPeer {
  public:
    explicit TlsPeer(const test::CertificateWish& wish, std::string host = "localhost")
        : files(test::make_certificates(folder, wish)),
          server(client.loop, {},
                 std::make_shared<test::FunctionHandler>(
                     [this](HttpRequest request, std::shared_ptr<HttpResponder> responder, auto) {
                         ++requests;
                         responder->reply({200, {}, "secure " + request.body});
                     })) {
        port = server.listen_tls("127.0.0.1", 0, files.server).value_or(0);
        peer = {{Scheme::Https, std::move(host), port}, files.ca_file};
    }
    ~TlsPeer() {
        client.loop.stop();
        client.loop.join();
    }

    test::TempFolder folder;
    test::CertificateFiles files;
    Client client{{}, 1};
    std::atomic<int> requests = 0;
    HttpServer server;
    uint16_t port = 0;
    TcpPeer peer;
};

TEST(HttpClientTls, RoundTripsAndReusesTheConnection) {
    TlsPeer tls({});
    ASSERT_TRUE(tls.client.client.prepare(tls.peer));
    const std::string body(100'000, 'b');
    for (int i = 0; i < 3; ++i) {
        const auto sink = fetch(tls.client.client, tls.peer, post(body));
        ASSERT_FALSE(sink->failure()) << sink->failure()->message;
        EXPECT_EQ(sink->body(), "secure " + body);
    }
    EXPECT_EQ(tls.client.client.stats().connections_made, 1u);
}

TEST(HttpClientTls, AnEarlyRefusalArrivesWholeBeforeTheEnd) {
    TlsPeer tls({});
    HttpClientRequest request = post();
    request.headers.add("X-Large", std::string(70'000, 'x'));
    const auto sink = fetch(tls.client.client, tls.peer, std::move(request));
    EXPECT_EQ(sink->status(), 431);
    EXPECT_FALSE(sink->failure());
    EXPECT_EQ(fetch(tls.client.client, tls.peer, post("x"))->body(), "secure x");
}

TEST(HttpClientTls, VerifiesAnIpAddress) {
    TlsPeer tls({.name = "IP:127.0.0.1"}, "127.0.0.1");
    EXPECT_EQ(fetch(tls.client.client, tls.peer, post("x"))->body(), "secure x");
}

struct BadTls {
    std::string name;
    test::CertificateWish wish;
    std::string host;
};

class UP8 : public testing::TestWithParam<BadTls> {};

TEST_P(UP8, FailsClosedBeforeAByteOfTheRequest) {
    TlsPeer tls(GetParam().wish, GetParam().host);
    const auto sink = fetch(tls.client.client, tls.peer, post());
    expect_failure(*sink, Kind::TlsFailed);
    EXPECT_FALSE(sink->failure()->request_sent);
    EXPECT_EQ(tls.requests, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Certificates, UP8,
    testing::Values(BadTls{"Expired", {.expired = true}, "localhost"},
                    BadTls{"WrongHost", {.name = "other.example"}, "localhost"},
                    BadTls{"WrongAddress", {.name = "IP:127.0.0.2"}, "127.0.0.1"},
                    BadTls{"NameForAnAddress", {.name = "localhost"}, "127.0.0.1"},
                    BadTls{"SelfSigned", {.self_signed = true}, "localhost"}),
    [](const auto& each) { return each.param.name; });

TEST(HttpClientTls, UP8_AnUnknownAuthorityIsRefused) {
    TlsPeer tls({});
    tls.peer.ca_file = {};  // the system's
    expect_failure(*fetch(tls.client.client, tls.peer, post()), Kind::TlsFailed);
    tls.peer.ca_file = "/nonexistent.pem";
    EXPECT_FALSE(tls.client.client.prepare(tls.peer));
    expect_failure(*fetch(tls.client.client, tls.peer, post()), Kind::TlsFailed);
}

TEST(HttpClientTls, UP8_APlaintextPeerNeverSeesTheRequest) {
    std::string seen;
    {
        const ScriptedServer server([&](RawPeer& peer) {
            peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            seen = peer.read_to_end();
        });
        Client client;
        const TcpPeer peer{{Scheme::Https, "127.0.0.1", server.port()}, {}};
        expect_failure(*fetch(client.client, peer, post()), Kind::TlsFailed);
    }
    EXPECT_THAT(seen, Not(HasSubstr("POST")));
    EXPECT_THAT(seen, Not(HasSubstr("canary")));
}

TEST(HttpClientTls, UP8_AResetInTheHandshakeFailsClosed) {
    const ScriptedServer server([](RawPeer& peer) {
        peer.read_until("\x01");  // some of the client's hello
        peer.reset();
    });
    Client client;
    const TcpPeer peer{{Scheme::Https, "127.0.0.1", server.port()}, {}};
    expect_failure(*fetch(client.client, peer, post()), Kind::TlsFailed);
}

TEST(HttpClientTls, UP8_AnOldProtocolIsRefused) {
    // A server hello that answers with TLS 1.1.
    std::string hello("\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02", 11);
    hello += std::string(32, 'r') + std::string("\x00\xc0\x13\x00", 4);
    const ScriptedServer server([&](RawPeer& peer) {
        peer.read_until("\x01");
        peer.send(hello);
        peer.read_to_end();
    });
    Client client;
    const TcpPeer peer{{Scheme::Https, "127.0.0.1", server.port()}, {}};
    expect_failure(*fetch(client.client, peer, post()), Kind::TlsFailed);
}

TEST(HttpClientTls, UP8_ANameWithoutAnAddressIsAConnectFailure) {
    Client client;
    const TcpPeer peer{{Scheme::Https, "nothing.invalid", 443}, {}};
    HttpClientRequest request = post();
    const auto sink = fetch(client.client, peer, std::move(request));
    EXPECT_THAT(sink->failure()->kind, testing::AnyOf(Kind::ConnectFailed, Kind::ConnectTimeout));
    EXPECT_FALSE(sink->failure()->request_sent);
}

}  // namespace
}  // namespace weir::net
