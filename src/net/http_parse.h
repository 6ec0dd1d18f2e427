#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_message.h"

// Reading HTTP/1.1 messages (RFC 9112), for server and client alike. One parser, stricter than the
// RFC wherever two readers of the same bytes have been known to disagree (request smuggling, HT1,
// HT2): what is ambiguous is refused, never repaired. Beast's parser is not used: it folds obsolete
// line folding, takes repeated equal Content-Lengths, and reads a Transfer-Encoding that does not
// end in chunked as "no body", so that its input would have to be parsed before it anyway, and then
// there would be two.
//
// Pure: no sockets, no clock; the fuzz target http_request runs it. Threads: one.
namespace weir::net {

// Why a message is refused. `why` is a literal, safe to show.
struct HttpProblem {
    int status = 400;  // what a server answers
    std::string_view why;
};

struct HeadLimits {
    size_t bytes_max = size_t{64} << 10;
    size_t headers_max = 100;
    size_t target_bytes_max = size_t{8} << 10;
};

// Finds the end of a head while its bytes arrive, and refuses at the first byte that cannot be part
// of one: a line that ends in LF alone must not wait for the deadline.
class HeadScanner {
  public:
    explicit HeadScanner(size_t bytes_max) : bytes_max_(bytes_max) {}

    // `received` begins at the head's first byte and only grows from call to call. Gives the length
    // of the head with its empty line, or nothing as long as that has not come.
    std::expected<std::optional<size_t>, HttpProblem> scan(std::string_view received);
    void reset() { *this = HeadScanner(bytes_max_); }

  private:
    size_t bytes_max_;
    size_t scanned_ = 0;
    size_t line_bytes_ = 0;
    bool after_cr_ = false;
};

enum class BodyKind : uint8_t { None, Length, Chunked, UntilClose };

struct BodyFraming {
    BodyKind kind = BodyKind::None;
    uint64_t length = 0;  // of Length
};

struct RequestHead {
    std::string method;
    std::string path;  // normalised
    std::string query;
    Headers headers;
    std::string host;
    std::optional<std::string> origin;
    BodyFraming framing;
    bool http_1_0 = false;
    bool keep_alive = true;
    bool expects_continue = false;
};

// `head` ends with its empty line, as HeadScanner found it.
std::expected<RequestHead, HttpProblem> parse_request_head(std::string_view head,
                                                           const HeadLimits& limits);

struct AnswerHead {
    int status = 0;
    Headers headers;
    BodyFraming framing;
    bool keep_alive = true;
};

enum class AnswerTo : uint8_t { Head, OtherMethod };  // an answer to HEAD has no body

std::expected<AnswerHead, HttpProblem> parse_answer_head(std::string_view head,
                                                         const HeadLimits& limits, AnswerTo method);

// Takes a body out of the bytes after a head.
class BodyDecoder {
  public:
    explicit BodyDecoder(BodyFraming framing);

    struct Step {
        size_t consumed = 0;    // bytes of `input` that are done with
        std::string_view data;  // decoded bytes among them, a view into `input`
    };
    // One step; call until the input is consumed or done(). A step of a chunked body gives at most
    // one run of data. Memory: none.
    std::expected<Step, HttpProblem> next(std::string_view input);

    bool done() const { return state_ == State::Done; }
    // The end of the connection is the end of this body.
    bool ends_with_connection() const { return state_ == State::UntilClose; }

  private:
    enum class State : uint8_t {
        Length,
        UntilClose,
        SizeFirst,
        Size,
        Extension,
        SizeLf,
        ChunkData,
        ChunkCr,
        ChunkLf,
        TrailerFirst,
        Trailer,
        TrailerLf,
        LastLf,
        Done,
    };
    std::optional<HttpProblem> control_byte(char c);  // of a chunked body's framing
    std::optional<HttpProblem> size_byte(char c);
    std::optional<HttpProblem> trailer_byte(char c);

    State state_;
    uint64_t left_ = 0;  // of the body, or of the chunk
    unsigned size_digits_ = 0;
    size_t extension_bytes_ = 0;  // of all chunks
    size_t trailer_bytes_ = 0;
};

}  // namespace weir::net
