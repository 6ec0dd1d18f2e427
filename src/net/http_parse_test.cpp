#include "net/http_parse.h"

#include <gtest/gtest.h>

#include "net/request_target.h"

namespace weir::net {
namespace {

int status_of(std::string_view head) {
    HeadScanner scanner(64 << 10);
    const auto end = scanner.scan(head);
    if (!end) {
        return end.error().status;
    }
    EXPECT_TRUE(*end) << "the head does not end";
    const auto parsed = parse_request_head(head.substr(0, end->value_or(0)), HeadLimits{});
    return parsed ? 200 : parsed.error().status;
}

std::string request(std::string_view line, std::string_view fields = "") {
    return std::string(line) + "\r\nHost: weir\r\n" + std::string(fields) + "\r\n";
}

struct Decoded {
    std::string body;
    bool done = false;
    bool refused = false;
    size_t left = 0;
};

Decoded decode(BodyFraming framing, std::string_view input, size_t piece) {
    BodyDecoder decoder(framing);
    Decoded out;
    size_t at = 0;
    while (at < input.size() && !decoder.done()) {
        const auto step = decoder.next(input.substr(at, piece));
        if (!step) {
            out.refused = true;
            return out;
        }
        out.body += step->data;
        at += step->consumed;
    }
    out.done = decoder.done();
    out.left = input.size() - at;
    return out;
}

constexpr BodyFraming kChunked{BodyKind::Chunked, 0};

TEST(HttpParse, ReadsAnOrdinaryRequest) {
    const std::string text = request("POST /v1/chat/completions?a=b HTTP/1.1",
                                     "Content-Length: 12\r\nOrigin: http://x\r\nX-A:  v \r\n");
    const auto head = parse_request_head(text, HeadLimits{});
    ASSERT_TRUE(head) << head.error().why;
    EXPECT_EQ(head->method, "POST");
    EXPECT_EQ(head->path, "/v1/chat/completions");
    EXPECT_EQ(head->query, "a=b");
    EXPECT_EQ(head->host, "weir");
    EXPECT_EQ(head->origin, "http://x");
    EXPECT_EQ(head->headers.find("x-a"), "v");
    EXPECT_EQ(head->framing.kind, BodyKind::Length);
    EXPECT_EQ(head->framing.length, 12u);
    EXPECT_TRUE(head->keep_alive);
}

TEST(HttpParse, TheScannerFindsTheEndHoweverTheBytesAreCut) {
    const std::string text = request("GET / HTTP/1.1", "A: b\r\n") + "rest";
    HeadScanner scanner(64 << 10);
    for (size_t count = 1; count < text.size() - 4; ++count) {
        const auto end = scanner.scan(std::string_view(text).substr(0, count));
        ASSERT_TRUE(end && !*end) << count;
    }
    const auto end = scanner.scan(text);
    ASSERT_TRUE(end && *end);
    EXPECT_EQ(**end, text.size() - 4);
}

struct HeadCase {
    std::string name;
    std::string text;
    int status;
};

class BadHead : public testing::TestWithParam<HeadCase> {};

TEST_P(BadHead, IsRefused) {
    EXPECT_EQ(status_of(GetParam().text), GetParam().status);
}

std::string many_headers() {
    std::string fields;
    for (int i = 0; i < 101; ++i) {
        fields += "a: b\r\n";
    }
    return fields;
}

const std::string kPost = "POST /x HTTP/1.1";
const std::string kGet = "GET /x HTTP/1.1";

INSTANTIATE_TEST_SUITE_P(
    Heads, BadHead,
    testing::Values(
        HeadCase{"HT1_LengthAndEncoding",
                 request(kPost, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
        HeadCase{"HT1_TwoLengths", request(kPost, "Content-Length: 5\r\nContent-Length: 6\r\n"),
                 400},
        HeadCase{"HT1_TwoEqualLengths",
                 request(kPost, "Content-Length: 5\r\ncontent-length: 5\r\n"), 400},
        HeadCase{"HT1_LengthList", request(kPost, "Content-Length: 5, 5\r\n"), 400},
        HeadCase{"HT1_PlusLength", request(kPost, "Content-Length: +5\r\n"), 400},
        HeadCase{"HT1_MinusLength", request(kPost, "Content-Length: -5\r\n"), 400},
        HeadCase{"HT1_HexLength", request(kPost, "Content-Length: 0x5\r\n"), 400},
        HeadCase{"HT1_EmptyLength", request(kPost, "Content-Length: \r\n"), 400},
        HeadCase{"HT1_HugeLength", request(kPost, "Content-Length: 18446744073709551616\r\n"), 400},
        HeadCase{"HT1_EncodingNotLast", request(kPost, "Transfer-Encoding: chunked, identity\r\n"),
                 400},
        HeadCase{"HT1_EncodingTwice", request(kPost, "Transfer-Encoding: chunked, chunked\r\n"),
                 400},
        HeadCase{"HT1_TwoEncodings",
                 request(kPost, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                 400},
        HeadCase{"HT1_EncodingGzip", request(kPost, "Transfer-Encoding: gzip, chunked\r\n"), 400},
        HeadCase{"HT1_EncodingSpelt", request(kPost, "Transfer-Encoding: xchunked\r\n"), 400},
        HeadCase{"HT1_EncodingIn10", request("POST /x HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
                 400},
        HeadCase{"HT1_FoldedEncoding", request(kPost, "Transfer-Encoding:\r\n chunked\r\n"), 400},
        HeadCase{"HT1_SpaceBeforeColon", request(kPost, "Transfer-Encoding : chunked\r\n"), 400},
        HeadCase{"HT1_SpaceInName", request(kPost, "Content Length: 5\r\n"), 400},
        HeadCase{"HT1_SpaceBeforeName", "POST /x HTTP/1.1\r\n Host: weir\r\n\r\n", 400},
        HeadCase{"HT1_NoName", request(kGet, ": v\r\n"), 400},
        HeadCase{"HT1_NoColon", request(kGet, "abc\r\n"), 400},
        HeadCase{"HT1_TabInEncoding",
                 request(kPost,
                         "Transfer-Encoding: \x0b"
                         "chunked\r\n"),
                 400},
        HeadCase{"HT2_LineFeedOnly", "GET /x HTTP/1.1\nHost: weir\n\n", 400},
        HeadCase{"HT2_OneLineFeedOnly", "GET /x HTTP/1.1\r\nHost: weir\nA: b\r\n\r\n", 400},
        HeadCase{"HT2_BareCarriageReturn", "GET /x HTTP/1.1\r\nHost: weir\r\nA: b\rC: d\r\n\r\n",
                 400},
        HeadCase{"NulInValue", request(kGet, std::string("A: b\0c\r\n", 8)), 400},
        HeadCase{"HT6_OneGiantHeader", request(kGet, "A: " + std::string(70'000, 'x') + "\r\n"),
                 431},
        HeadCase{"HT6_ManyHeaders", request(kGet, many_headers()), 431},
        HeadCase{"LongTarget", request("GET /" + std::string(9000, 'x') + " HTTP/1.1"), 414},
        HeadCase{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        HeadCase{"Http2", request("GET / HTTP/2.0"), 400}, HeadCase{"Http09", "GET /\r\n\r\n", 400},
        HeadCase{"LowerCaseVersion", request("GET / http/1.1"), 400},
        HeadCase{"TwoSpaces", request("GET  / HTTP/1.1"), 400},
        HeadCase{"TabForSpace", request("GET\t/ HTTP/1.1"), 400},
        HeadCase{"EmptyFirstLine", "\r\n" + request(kGet), 400},
        HeadCase{"MethodNoToken", request("GE(T / HTTP/1.1"), 400},
        HeadCase{"AbsoluteForm", request("GET http://weir/x HTTP/1.1"), 400},
        HeadCase{"Connect", request("CONNECT weir:443 HTTP/1.1"), 400},
        HeadCase{"StarForGet", request("GET * HTTP/1.1"), 400},
        HeadCase{"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
        HeadCase{"TwoHosts", request(kGet, "Host: other\r\n"), 400},
        HeadCase{"EmptyHost", "GET / HTTP/1.1\r\nHost: \r\n\r\n", 400},
        HeadCase{"HostWithUser", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
        HeadCase{"HostWithPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        HeadCase{"TwoAuthorizations", request(kGet, "Authorization: a\r\nAuthorization: b\r\n"),
                 400},
        HeadCase{"UnknownExpectation", request(kPost, "Expect: 200-ok\r\n"), 417},
        HeadCase{"HT13_DotDot", request("GET /v1/../admin HTTP/1.1"), 400},
        HeadCase{"FragmentInTarget", request("GET /x#y HTTP/1.1"), 400},
        HeadCase{"NonAsciiTarget", request("GET /\xC3\xBC HTTP/1.1"), 400},
        HeadCase{"BackslashInQuery", request("GET /x?a\\b HTTP/1.1"), 400}),
    [](const auto& each) { return each.param.name; });

TEST(HttpParse, HT7_HeaderValuesAreNeverPercentDecoded) {
    const auto head =
        parse_request_head(request(kGet, "A: x%0d%0aInjected: yes\r\n"), HeadLimits{});
    ASSERT_TRUE(head);
    EXPECT_EQ(head->headers.find("a"), "x%0d%0aInjected: yes");
    EXPECT_EQ(head->headers.count("injected"), 0u);
}

TEST(HttpParse, HT4_UpgradeEndsTheConnectionAfterTheAnswer) {
    const auto head = parse_request_head(
        request(kGet, "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"), HeadLimits{});
    ASSERT_TRUE(head);
    EXPECT_FALSE(head->keep_alive);
}

TEST(HttpParse, ConnectionCloseIsFoundInAList) {
    const auto head =
        parse_request_head(request(kGet, "Connection: foo,  Close\r\n"), HeadLimits{});
    ASSERT_TRUE(head);
    EXPECT_FALSE(head->keep_alive);
}

TEST(NormalisePath, HT13_DecodesHarmlessEscapesOnce) {
    EXPECT_EQ(normalise_path("/v1/models/a%3Ab").value_or(""), "/v1/models/a:b");
    EXPECT_EQ(normalise_path("/v1/%6dodels").value_or(""), "/v1/models");
    EXPECT_EQ(normalise_path("/%C3%BC").value_or(""), "/\xC3\xBC");
    EXPECT_EQ(normalise_path("/").value_or(""), "/");
    EXPECT_EQ(normalise_path("/v1/").value_or(""), "/v1/");
}

class BadPath : public testing::TestWithParam<std::string> {};

TEST_P(BadPath, HT13_IsRefused) {
    EXPECT_FALSE(normalise_path(GetParam())) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Spellings, BadPath,
                         testing::Values("", "v1", "//", "//admin", "/v1//models", "/v1/../admin",
                                         "/v1/..", "/..", "/./a", "/a/.", "/%2e%2e/admin",
                                         "/%2E./admin", "/.%2e/admin", "/a%2fb", "/a%2Fb", "/a%5cb",
                                         "/a\\b", "/%252e%252e/a", "/a%00b", "/a%0d%0ab", "/a%7f",
                                         "/a%", "/a%2", "/a%zz", "/a%+1", "/a b", "/a\"b", "/a<b",
                                         "/%ff", "/%c0%ae", "/%ed%a0%80", "/a\x01", "/\xC3\xBC",
                                         "*"));

TEST(BodyDecoder, ReadsChunksHoweverTheyAreCut) {
    const std::string body =
        "4\r\nweir\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\n";
    for (size_t piece = 1; piece <= body.size(); ++piece) {
        const Decoded decoded = decode(kChunked, body + "NEXT", piece);
        EXPECT_TRUE(decoded.done) << piece;
        EXPECT_EQ(decoded.body, "weir0123456789") << piece;
        EXPECT_EQ(decoded.left, 4u) << piece;
    }
}

TEST(BodyDecoder, TakesExactlyTheAnnouncedLength) {
    const Decoded decoded = decode({BodyKind::Length, 5}, "helloGET /", 3);
    EXPECT_TRUE(decoded.done);
    EXPECT_EQ(decoded.body, "hello");
    EXPECT_EQ(decoded.left, 5u);
}

class BadChunks : public testing::TestWithParam<std::string> {};

TEST_P(BadChunks, HT2_AreRefused) {
    const Decoded decoded = decode(kChunked, GetParam(), GetParam().size());
    EXPECT_TRUE(decoded.refused) << GetParam().substr(0, 40);
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, BadChunks,
    testing::Values("-2\r\nab\r\n", "+2\r\nab\r\n", "0x2\r\nab\r\n", " 2\r\nab\r\n", "2 \r\nab\r\n",
                    "2 ;a\r\nab\r\n", "\r\nab\r\n", ";a\r\n", "g\r\n", "2\nab\n", "2\r\nab\n",
                    "2\r\nabc\r\n", "2\r\nabXX", "fffffffffffffffff\r\n",
                    "0000000000000002\r\nab\r\n", "2;" + std::string(5000, 'x') + "\r\nab\r\n",
                    "2;a\nb\r\nab\r\n", "0\r\n folded\r\n\r\n", "0\r\nA: b\n\r\n",
                    "0\r\nA: b\r\n\rX", "0\r\nA: " + std::string(9000, 'x') + "\r\n\r\n"));

TEST(BodyDecoder, HT2_ExtensionsOfAllChunksCountTogether) {
    std::string body;
    for (int i = 0; i < 100; ++i) {
        body += "1;" + std::string(100, 'x') + "\r\na\r\n";
    }
    EXPECT_TRUE(decode(kChunked, body, body.size()).refused);
}

TEST(AnswerHead, SaysHowTheBodyEnds) {
    const auto until_close =
        parse_answer_head("HTTP/1.1 200 OK\r\n\r\n", HeadLimits{}, AnswerTo::OtherMethod);
    ASSERT_TRUE(until_close);
    EXPECT_EQ(until_close->framing.kind, BodyKind::UntilClose);
    EXPECT_FALSE(until_close->keep_alive);

    const auto none =
        parse_answer_head("HTTP/1.1 204\r\n\r\n", HeadLimits{}, AnswerTo::OtherMethod);
    ASSERT_TRUE(none);
    EXPECT_EQ(none->framing.kind, BodyKind::None);

    const auto to_head = parse_answer_head("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                                           HeadLimits{}, AnswerTo::Head);
    ASSERT_TRUE(to_head);
    EXPECT_EQ(to_head->framing.kind, BodyKind::None);
}

class BadAnswer : public testing::TestWithParam<std::string> {};

TEST_P(BadAnswer, IsRefused) {
    EXPECT_FALSE(parse_answer_head(GetParam() + "\r\n\r\n", HeadLimits{}, AnswerTo::OtherMethod));
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, BadAnswer,
    testing::Values("", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK",
                    "HTTP/1.1 099 X", "HTTP/1.1 600 X", "HTTP/1.1 +20 X", "HTTP/2 200 OK",
                    "ICY 200 OK",
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
                    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
                    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
                    "HTTP/1.1 200 OK\r\n folded: x"));

}  // namespace
}  // namespace weir::net
