#include "gossip/transport_probe.h"

#include <algorithm>
#include <utility>

namespace ringagent {

namespace {

// What of MySQL's protocol a polite good-bye needs ("Connection Phase" of MySQL's internals manual).
constexpr std::size_t kPacketHeaderBytes = 4;  // length 3, little-endian; number 1
constexpr std::uint8_t kErrorPacket = 0xFF;
constexpr std::uint8_t kSwitchPacket = 0xFE;  // "log in by this other method"
constexpr std::size_t kAnswersMax = 4;
constexpr std::size_t kBytesMax = 4096;  // greetings are below 200

std::string packet(std::uint8_t number, const std::string& payload) {
  std::string out;
  out += static_cast<char>(payload.size());
  out += '\0';
  out += '\0';
  out += static_cast<char>(number);
  return out + payload;
}

// A login as nobody: capabilities, largest packet, character set, filler, user, no password, method.
std::string login() {
  std::string out;
  for (const std::uint32_t number : {0x00088201U, 0x01000000U}) {  // long password, protocol 4.1, secure, plugins
    for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(number >> shift & 0xFFU);
  }
  out += static_cast<char>(33);  // utf8
  out.append(23, '\0');
  out.append("ringagent_probe").push_back('\0');
  out.push_back('\0');
  out.append("mysql_native_password").push_back('\0');
  return out;
}

}  // namespace

class PortProbe::Attempt {
 public:
  Attempt(PortProbe* owner, Done done) : owner_(owner), done_(std::move(done)) {
    timer_ = make_handle<uv_timer_t>(owner->loop_, uv_timer_init, this);
    tcp_ = make_handle<uv_tcp_t>(owner->loop_, uv_tcp_init, this);
  }

  void start(Duration timeout) {
    const auto ms = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
    uv_timer_start(
        timer_.get(),
        [](uv_timer_t* timer) {
          if (timer->data != nullptr) static_cast<Attempt*>(timer->data)->finish(EdgeState::silent);
        },
        static_cast<std::uint64_t>(ms), 0);
  }

  void connect(const SocketAddress* to) {
    if (to == nullptr) return finish(EdgeState::silent);
    auto* request = new uv_connect_t;
    const int status = uv_tcp_connect(request, tcp_.get(), to->get(), [](uv_connect_t* done, int result) {
      auto* self = static_cast<Attempt*>(done->handle->data);
      delete done;
      if (self != nullptr) self->connected(result);
    });
    if (status == 0) return;
    delete request;
    finish(EdgeState::silent);
  }

 private:
  void connected(int status) {
    if (status == 0 && connected_to_itself(*tcp_)) status = UV_ECONNREFUSED;
    if (status != 0) return finish(status == UV_ECONNREFUSED ? EdgeState::refused : EdgeState::silent);
    uv_read_start(
        reinterpret_cast<uv_stream_t*>(tcp_.get()),
        [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
          auto* self = static_cast<Attempt*>(handle->data);
          *buffer = uv_buf_init(self->buffer_, sizeof self->buffer_);
        },
        [](uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
          auto* self = static_cast<Attempt*>(handle->data);
          if (self == nullptr || size == 0) return;
          if (size < 0) return self->finish(EdgeState::silent);
          self->received({buffer->base, static_cast<std::size_t>(size)});
        });
  }

  void received(std::string_view bytes) {
    tell(EdgeState::ok);
    in_.append(bytes);
    while (in_.size() > kPacketHeaderBytes) {
      const std::size_t length = static_cast<std::uint8_t>(in_[0]) + 256U * static_cast<std::uint8_t>(in_[1]) +
                                 65536U * static_cast<std::uint8_t>(in_[2]);
      if (in_.size() < kPacketHeaderBytes + length) break;
      if (!converse(static_cast<std::uint8_t>(in_[3]), static_cast<std::uint8_t>(in_[kPacketHeaderBytes])))
        return leave();
      in_.erase(0, kPacketHeaderBytes + length);
    }
    if (in_.size() > kBytesMax) leave();
  }

  // The answer to one packet of the server; false: the conversation is over.
  bool converse(std::uint8_t number, std::uint8_t kind) {
    const bool greeting = answers_ == 0;
    if (kind == kErrorPacket || (!greeting && kind != kSwitchPacket) || ++answers_ > kAnswersMax) return false;
    const std::string bytes = packet(static_cast<std::uint8_t>(number + 1), greeting ? login() : std::string());
    const uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    // A few bytes into an empty socket buffer: it takes them or it is broken.
    return uv_try_write(reinterpret_cast<uv_stream_t*>(tcp_.get()), &buffer, 1) == static_cast<int>(bytes.size());
  }

  void tell(EdgeState state) {
    if (const auto done = std::exchange(done_, nullptr)) done(state);
  }
  void leave() { owner_->finished(this); }  // frees this
  void finish(EdgeState state) {
    tell(state);
    leave();
  }

  PortProbe* owner_;
  Done done_;
  UvHandle<uv_timer_t> timer_;
  UvHandle<uv_tcp_t> tcp_;
  std::string in_;
  std::size_t answers_ = 0;
  char buffer_[512];
};

PortProbe::PortProbe(uv_loop_t* loop, std::size_t in_flight_max)
    : loop_(loop),
      in_flight_max_(in_flight_max),
      resolver_(loop, AF_UNSPEC),
      starter_(make_handle<uv_idle_t>(loop, uv_idle_init, this)) {}

PortProbe::~PortProbe() = default;

void PortProbe::probe(const Address& address, Duration timeout, Done done) {
  wanted_.push_back({address, timeout, std::move(done)});
  start_soon();
}

void PortProbe::start_soon() {
  if (wanted_.empty() || attempts_.size() == in_flight_max_) return;
  uv_idle_start(starter_.get(), [](uv_idle_t* idle) {
    uv_idle_stop(idle);
    if (idle->data != nullptr) static_cast<PortProbe*>(idle->data)->start_wanted();
  });
}

void PortProbe::start_wanted() {
  while (!wanted_.empty() && attempts_.size() < in_flight_max_) {
    Wanted wanted = std::move(wanted_.front());
    wanted_.pop_front();
    attempts_.push_back(std::make_shared<Attempt>(this, std::move(wanted.done)));
    const std::weak_ptr<Attempt> attempt = attempts_.back();
    attempts_.back()->start(wanted.timeout);
    resolver_.resolve(wanted.address, [attempt](const SocketAddress* to) {
      if (const auto alive = attempt.lock()) alive->connect(to);
    });
  }
}

void PortProbe::finished(Attempt* attempt) {
  attempts_.remove_if([&](const auto& other) { return other.get() == attempt; });
  start_soon();
}

}  // namespace ringagent
