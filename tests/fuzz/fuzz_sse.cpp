// An event stream in pieces gives the events of the stream at once, within its bound.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/sse.h"

namespace {

using namespace weir;

struct Reading {
    std::vector<std::string> events;
    bool refused = false;
    bool partial = false;

    bool operator==(const Reading&) const = default;
};

constexpr size_t kEventBytesMax = 256;

Reading read(std::string_view stream, size_t piece) {
    net::SseParser parser({.event_bytes_max = kEventBytesMax});
    Reading reading;
    for (size_t at = 0; at < stream.size() && !reading.refused; at += piece) {
        const auto fed = parser.feed(stream.substr(at, piece), [&](const net::SseEvent& event) {
            if (event.data.size() + event.type.size() + event.id.size() > kEventBytesMax) {
                std::abort();
            }
            std::string flat(event.type);
            flat.append("|").append(event.id).append("|").append(event.data);
            reading.events.push_back(std::move(flat));
            return Result<void>();
        });
        reading.refused = !fed;
    }
    reading.partial = !reading.refused && parser.has_partial_event();
    return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t count) {
    if (count == 0) {
        return 0;
    }
    const std::string_view stream(reinterpret_cast<const char*>(data) + 1, count - 1);
    const Reading whole = read(stream, stream.size() + 1);
    if (read(stream, data[0] % 32 + size_t{1}) != whole || read(stream, 1) != whole) {
        std::abort();
    }
    // What is written of any bytes is one event with those bytes' lines.
    std::string written;
    net::append_sse_data(written, stream.substr(0, 32));
    const Reading back = read(written, written.size());
    if (back.events.size() != 1 || back.refused || back.partial) {
        std::abort();
    }
    return 0;
}
