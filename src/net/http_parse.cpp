#include "net/http_parse.h"

#include <algorithm>
#include <charconv>

#include "net/request_target.h"

namespace weir::net {
namespace {

constexpr size_t kMethodBytesMax = 32;
constexpr size_t kChunkExtensionsBytesMax = 4096;  // of a whole body; nobody uses them
constexpr size_t kTrailersBytesMax = 8192;
constexpr unsigned kChunkSizeDigitsMax = 15;  // 60 bits: cannot wrap

std::unexpected<HttpProblem> refuse(std::string_view why, int status = 400) {
    return std::unexpected(HttpProblem{status, why});
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

std::string_view trim(std::string_view text) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Splits the lines after the first into fields.
std::expected<Headers, HttpProblem> parse_fields(std::string_view lines, size_t headers_max) {
    Headers headers;
    while (!lines.starts_with("\r\n")) {
        const size_t end = lines.find("\r\n");
        if (end == std::string_view::npos) {
            return refuse("the head does not end with an empty line");
        }
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(end + 2);
        const size_t colon = line.find(':');
        // A name with a space, before the colon or at the line's beginning (obsolete folding),
        // is no token.
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
            return refuse("a header line is malformed");
        }
        const std::string_view value = trim(line.substr(colon + 1));
        if (!is_field_value(value)) {
            return refuse("a header value has a control character");
        }
        if (headers.size() == headers_max) {
            return refuse("too many headers", 431);
        }
        headers.add(std::string(line.substr(0, colon)), std::string(value));
    }
    if (lines.size() != 2) {
        return refuse("the head has an empty line within it");
    }
    return headers;
}

// Fields that decide whom a request is for, from whom, and where it ends: twice is two opinions.
std::optional<HttpProblem> check_singletons(const Headers& headers) {
    for (const std::string_view name :
         {"host", "content-length", "transfer-encoding", "content-type", "content-encoding",
          "authorization", "origin", "expect"}) {
        if (headers.count(name) > 1) {
            return HttpProblem{400, "a header that may come once came twice"};
        }
    }
    return std::nullopt;
}

bool has_list_item(const Headers& headers, std::string_view name, std::string_view item) {
    for (const Header& field : headers) {
        if (!equals_ignoring_case(field.name, name)) {
            continue;
        }
        std::string_view rest = field.value;
        while (true) {
            const size_t comma = std::min(rest.find(','), rest.size());
            if (equals_ignoring_case(trim(rest.substr(0, comma)), item)) {
                return true;
            }
            if (comma == rest.size()) {
                break;
            }
            rest.remove_prefix(comma + 1);
        }
    }
    return false;
}

std::expected<uint64_t, HttpProblem> parse_length(std::string_view text) {
    uint64_t length = 0;
    // from_chars would take no '+' or "0x" either, but a '-' for signed types: say it plainly.
    const bool digits =
        !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (!digits || error != std::errc() || stop != text.data() + text.size()) {
        return refuse("Content-Length is not a number");
    }
    return length;
}

// What the fields say about the body; `otherwise` holds where they say nothing.
std::expected<BodyFraming, HttpProblem> parse_framing(const Headers& headers, bool http_1_0,
                                                      BodyFraming otherwise) {
    const auto encoding = headers.find("transfer-encoding");
    const auto length = headers.find("content-length");
    if (encoding) {
        if (length) {
            return refuse("both Content-Length and Transfer-Encoding");
        }
        if (http_1_0) {
            return refuse("Transfer-Encoding in HTTP/1.0");
        }
        if (!equals_ignoring_case(*encoding, "chunked")) {
            return refuse("a Transfer-Encoding other than chunked");
        }
        return BodyFraming{BodyKind::Chunked, 0};
    }
    if (length) {
        const auto bytes = parse_length(*length);
        if (!bytes) {
            return std::unexpected(bytes.error());
        }
        return BodyFraming{BodyKind::Length, *bytes};
    }
    return otherwise;
}

struct RequestLine {
    std::string_view method;
    std::string_view target;
    bool http_1_0 = false;
};

std::expected<RequestLine, HttpProblem> parse_request_line(std::string_view line) {
    const size_t first = line.find(' ');
    const size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) {
        return refuse("the request line has not three parts");
    }
    RequestLine parts{line.substr(0, first), line.substr(first + 1, last - first - 1)};
    if (parts.method.size() > kMethodBytesMax || !is_token(parts.method)) {
        return refuse("the method is malformed");
    }
    const std::string_view version = line.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        return refuse("only HTTP/1.1 is spoken here");
    }
    parts.http_1_0 = version == "HTTP/1.0";
    return parts;
}

// Host is checked by its alphabet only; which names are ours the server room knows.
bool is_host(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        const bool alnum =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return alnum || std::string_view("-._~:[]").find(c) != std::string_view::npos;
    });
}

std::optional<HttpProblem> read_target(std::string_view target, RequestHead& head) {
    if (target == "*" && head.method == "OPTIONS") {
        head.path = "*";
        return std::nullopt;
    }
    const size_t question = std::min(target.find('?'), target.size());
    auto path = normalise_path(target.substr(0, question));
    if (!path) {
        return HttpProblem{400, "the request path is malformed or not in its normal form"};
    }
    const std::string_view query = target.substr(std::min(question + 1, target.size()));
    const bool clean = std::ranges::all_of(
        query, [](char c) { return c > 0x20 && c < 0x7f && c != '#' && c != '\\'; });
    if (!clean) {
        return HttpProblem{400, "the query has a character that must be percent-encoded"};
    }
    head.path = *std::move(path);
    head.query = query;
    return std::nullopt;
}

std::optional<HttpProblem> read_host(RequestHead& head) {
    const auto host = head.headers.find("host");
    if (!host) {
        return head.http_1_0 ? std::nullopt
                             : std::optional(HttpProblem{400, "the Host header is missing"});
    }
    if (!is_host(*host)) {
        return HttpProblem{400, "the Host header is malformed"};
    }
    head.host = *host;
    return std::nullopt;
}

std::optional<HttpProblem> read_expectation(RequestHead& head) {
    const auto expect = head.headers.find("expect");
    if (!expect || head.http_1_0) {
        return std::nullopt;
    }
    if (!equals_ignoring_case(*expect, "100-continue")) {
        return HttpProblem{417, "the only expectation known here is 100-continue"};
    }
    head.expects_continue = true;
    return std::nullopt;
}

}  // namespace

std::expected<std::optional<size_t>, HttpProblem> HeadScanner::scan(std::string_view received) {
    for (; scanned_ < received.size(); ++scanned_) {
        const char c = received[scanned_];
        if (scanned_ >= bytes_max_) {
            return refuse("the head is too large", 431);
        }
        if (after_cr_ != (c == '\n') || (c != '\r' && c != '\n' && is_control(c))) {
            return refuse("a line of the head does not end in CR LF, or has a control character");
        }
        after_cr_ = c == '\r';
        if (c == '\n') {
            if (line_bytes_ == 0) {
                ++scanned_;
                if (scanned_ == 2) {
                    return refuse("the head begins with an empty line");
                }
                return scanned_;
            }
            line_bytes_ = 0;
        } else if (c != '\r') {
            ++line_bytes_;
        }
    }
    return std::nullopt;
}

std::expected<RequestHead, HttpProblem> parse_request_head(std::string_view head_bytes,
                                                           const HeadLimits& limits) {
    const size_t line_end = head_bytes.find("\r\n");
    if (line_end == std::string_view::npos) {
        return refuse("the request line does not end");
    }
    const auto line = parse_request_line(head_bytes.substr(0, line_end));
    if (!line) {
        return std::unexpected(line.error());
    }
    if (line->target.size() > limits.target_bytes_max) {
        return refuse("the request target is too long", 414);
    }
    auto headers = parse_fields(head_bytes.substr(line_end + 2), limits.headers_max);
    if (!headers) {
        return std::unexpected(headers.error());
    }
    RequestHead head;
    head.method = line->method;
    head.http_1_0 = line->http_1_0;
    head.headers = *std::move(headers);
    std::optional<HttpProblem> problem = check_singletons(head.headers);
    for (const auto step : {read_host, read_expectation}) {
        problem = problem ? problem : step(head);
    }
    problem = problem ? problem : read_target(line->target, head);
    if (problem) {
        return std::unexpected(*problem);
    }
    const auto framing = parse_framing(head.headers, head.http_1_0, {BodyKind::None, 0});
    if (!framing) {
        return std::unexpected(framing.error());
    }
    head.framing = *framing;
    if (const auto origin = head.headers.find("origin")) {
        head.origin = std::string(*origin);
    }
    // After an answer to `Upgrade` the client may believe anything about the next bytes: none are
    // read (HT4).
    head.keep_alive = !head.http_1_0 && !has_list_item(head.headers, "connection", "close") &&
                      !head.headers.find("upgrade");
    return head;
}

std::expected<AnswerHead, HttpProblem> parse_answer_head(std::string_view head_bytes,
                                                         const HeadLimits& limits,
                                                         AnswerTo method) {
    const size_t line_end = head_bytes.find("\r\n");
    if (line_end == std::string_view::npos) {
        return refuse("the status line does not end");
    }
    const std::string_view line = head_bytes.substr(0, line_end);
    const bool http_1_0 = line.starts_with("HTTP/1.0 ");
    AnswerHead head;
    if ((!http_1_0 && !line.starts_with("HTTP/1.1 ")) || line.size() < 12 ||
        (line.size() > 12 && line[12] != ' ')) {
        return refuse("the status line is malformed");
    }
    const auto [stop, error] = std::from_chars(line.data() + 9, line.data() + 12, head.status);
    if (error != std::errc() || stop != line.data() + 12 || head.status < 100 ||
        head.status > 599) {
        return refuse("the status is not a number from 100 to 599");
    }
    auto headers = parse_fields(head_bytes.substr(line_end + 2), limits.headers_max);
    if (!headers) {
        return std::unexpected(headers.error());
    }
    head.headers = *std::move(headers);
    if (const auto problem = check_singletons(head.headers)) {
        return std::unexpected(*problem);
    }
    const auto framing = parse_framing(head.headers, http_1_0, {BodyKind::UntilClose, 0});
    if (!framing) {
        return std::unexpected(framing.error());
    }
    const bool bodiless =
        method == AnswerTo::Head || head.status < 200 || head.status == 204 || head.status == 304;
    head.framing = bodiless ? BodyFraming{} : *framing;
    head.keep_alive = !http_1_0 && !has_list_item(head.headers, "connection", "close") &&
                      head.framing.kind != BodyKind::UntilClose;
    return head;
}

BodyDecoder::BodyDecoder(BodyFraming framing) : state_(State::Done), left_(framing.length) {
    switch (framing.kind) {
        case BodyKind::None:
            break;
        case BodyKind::Length:
            state_ = left_ == 0 ? State::Done : State::Length;
            break;
        case BodyKind::Chunked:
            state_ = State::SizeFirst;
            left_ = 0;
            break;
        case BodyKind::UntilClose:
            state_ = State::UntilClose;
            break;
    }
}

std::expected<BodyDecoder::Step, HttpProblem> BodyDecoder::next(std::string_view input) {
    Step step;
    while (step.consumed < input.size() && state_ != State::Done) {
        const std::string_view rest = input.substr(step.consumed);
        if (state_ == State::UntilClose) {
            return Step{input.size(), rest};
        }
        if (state_ == State::Length || state_ == State::ChunkData) {
            const auto count = static_cast<size_t>(std::min<uint64_t>(left_, rest.size()));
            left_ -= count;
            if (left_ == 0) {
                state_ = state_ == State::Length ? State::Done : State::ChunkCr;
            }
            return Step{step.consumed + count, rest.substr(0, count)};
        }
        if (const auto problem = control_byte(rest[0])) {
            return std::unexpected(*problem);
        }
        ++step.consumed;
    }
    return step;
}

std::optional<HttpProblem> BodyDecoder::size_byte(char c) {
    const bool decimal = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (decimal || letter) {
        if (++size_digits_ > kChunkSizeDigitsMax) {
            return HttpProblem{400, "a chunk size is too long"};
        }
        const int digit = decimal ? c - '0' : (c | 0x20) - 'a' + 10;
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        state_ = State::Size;
        return std::nullopt;
    }
    if (state_ == State::Size && (c == '\r' || c == ';')) {
        state_ = c == ';' ? State::Extension : State::SizeLf;
        return std::nullopt;
    }
    return HttpProblem{400, "a chunk size is malformed"};
}

std::optional<HttpProblem> BodyDecoder::trailer_byte(char c) {
    if (++trailer_bytes_ > kTrailersBytesMax) {
        return HttpProblem{400, "the trailers are too large"};
    }
    if (c == '\r') {
        state_ = state_ == State::TrailerFirst ? State::LastLf : State::TrailerLf;
        return std::nullopt;
    }
    // A trailer is dropped, never merged into the headers; only its line must be one.
    if (is_control(c) || (state_ == State::TrailerFirst && (c == ' ' || c == '\t'))) {
        return HttpProblem{400, "a trailer is malformed"};
    }
    state_ = State::Trailer;
    return std::nullopt;
}

std::optional<HttpProblem> BodyDecoder::control_byte(char c) {
    // Where exactly one byte may come, and what follows it.
    const auto only = [&](char expected, State then) -> std::optional<HttpProblem> {
        if (c != expected) {
            return HttpProblem{400, "the chunked body is malformed"};
        }
        state_ = then;
        return std::nullopt;
    };
    switch (state_) {
        case State::SizeFirst:
        case State::Size:
            return size_byte(c);
        case State::Extension:
            if (++extension_bytes_ > kChunkExtensionsBytesMax) {
                return HttpProblem{400, "the chunk extensions are too large"};
            }
            if (c == '\r') {
                state_ = State::SizeLf;
            } else if (is_control(c)) {
                return HttpProblem{400, "a chunk extension has a control character"};
            }
            return std::nullopt;
        case State::SizeLf:
            size_digits_ = 0;
            return only('\n', left_ == 0 ? State::TrailerFirst : State::ChunkData);
        case State::ChunkCr:
            return only('\r', State::ChunkLf);
        case State::ChunkLf:
            return only('\n', State::SizeFirst);
        case State::TrailerFirst:
        case State::Trailer:
            return trailer_byte(c);
        case State::TrailerLf:
            return only('\n', State::TrailerFirst);
        case State::LastLf:
            return only('\n', State::Done);
        case State::Length:
        case State::UntilClose:
        case State::ChunkData:
        case State::Done:
            break;
    }
    return HttpProblem{400, "the chunked body is malformed"};
}

}  // namespace weir::net
