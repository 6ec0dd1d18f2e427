// A connection's bytes, to the server's and the client's reading of them. What a piecewise reading
// finds must be what a reading at once finds, and a path that gets through must be in its one form.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "net/http_parse.h"
#include "net/request_target.h"

namespace {

using namespace weir::net;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

struct Head {
    bool refused = false;
    size_t end = 0;  // 0: not whole
};

Head scan(std::string_view bytes, size_t piece) {
    HeadScanner scanner(4096);
    for (size_t count = 0; count < bytes.size();) {
        count = std::min(count + piece, bytes.size());
        const auto end = scanner.scan(bytes.substr(0, count));
        if (!end) {
            return {true, 0};
        }
        if (*end) {
            require(**end <= count && **end >= 4);
            return {false, **end};
        }
    }
    return {};
}

struct Body {
    bool refused = false;
    bool done = false;
    size_t consumed = 0;
    std::string data;
};

Body decode(BodyFraming framing, std::string_view bytes, size_t piece) {
    BodyDecoder decoder(framing);
    Body body;
    while (body.consumed < bytes.size() && !decoder.done()) {
        const std::string_view input = bytes.substr(body.consumed, piece);
        const auto step = decoder.next(input);
        if (!step) {
            body.refused = true;
            return body;
        }
        require(step->consumed > 0 && step->consumed <= input.size());
        body.consumed += step->consumed;
        body.data += step->data;
    }
    body.done = decoder.done();
    return body;
}

void check_body(BodyFraming framing, std::string_view bytes, size_t piece) {
    const Body whole = decode(framing, bytes, bytes.size());
    const Body pieces = decode(framing, bytes, piece);
    require(whole.refused == pieces.refused && whole.done == pieces.done);
    require(whole.refused || (whole.data == pieces.data && whole.consumed == pieces.consumed));
    require(whole.data.size() <= bytes.size());
}

void check_path(const std::string& path) {
    require(path == "*" || path.starts_with('/'));
    require((path + "/").find("/../") == std::string::npos);
    require((path + "/").find("/./") == std::string::npos);
    require(path.find("//") == std::string::npos && path.find('\\') == std::string::npos);
    require(path.find('%') == std::string::npos && path.find('\0') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
    if (count == 0) {
        return 0;
    }
    const size_t piece = data[0] % 16 + size_t{1};
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, count - 1);
    const Head head = scan(bytes, piece);
    const Head at_once = scan(bytes, bytes.size() + 1);
    require(head.refused == at_once.refused && head.end == at_once.end);
    const HeadLimits limits{4096, 16, 512};
    if (head.end != 0) {
        const std::string_view rest = bytes.substr(head.end);
        if (const auto request = parse_request_head(bytes.substr(0, head.end), limits)) {
            check_path(request->path);
            require(request->headers.size() <= limits.headers_max);
            check_body(request->framing, rest, piece);
        }
        for (const AnswerTo method : {AnswerTo::Head, AnswerTo::OtherMethod}) {
            if (const auto answer = parse_answer_head(bytes.substr(0, head.end), limits, method)) {
                require(answer->status >= 100 && answer->status <= 599);
                check_body(answer->framing, rest, piece);
            }
        }
    }
    // Without the scanner in front, too: the parsers trust nobody.
    (void)parse_request_head(bytes, limits);
    (void)parse_answer_head(bytes, limits, AnswerTo::OtherMethod);
    check_body({BodyKind::Chunked, 0}, bytes, piece);
    if (const auto path = normalise_path(bytes)) {
        check_path(*path);
    }
    return 0;
}
