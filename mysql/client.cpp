#include "mysql/client.h"

#include <errmsg.h>
#include <fcntl.h>
#include <mysql.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#if !defined(LIBMARIADB) && !defined(MARIADB_BASE_VERSION)
#define RINGAGENT_ORACLE_CLIENT 1
static_assert(MYSQL_VERSION_ID >= 80016, "libmysqlclient from 8.0.16 is needed for its non-blocking calls");
#endif

namespace ringagent {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kPastDeadline = "no answer within the deadline";
constexpr const char* kWoken = "the agent gave the call up";

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] { mysql_library_init(0, nullptr, nullptr); });
}

// "Can't connect to server on 'db2' (111)": both libraries put the errno there.
int errno_in(std::string_view text) {
  const auto open = text.rfind('(');
  if (open == std::string_view::npos) return 0;
  int value = 0;
  std::from_chars(text.data() + open + 1, text.data() + text.size(), value);
  return value;
}

#ifndef RINGAGENT_ORACLE_CLIENT
// Connector/C, non-blocking, closes the descriptor of a Unix socket that cannot be connected to twice (seen with 10.11.19),
// and the second time it is whatever another thread has just opened. So nobody asks it before somebody listens there.
std::optional<SqlError> why_not_connected(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return std::nullopt;  // the library says so itself, before it opens anything
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool connected = fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int code = errno;
  if (fd >= 0) ::close(fd);
  if (connected) return std::nullopt;
  const std::string text = "Can't connect to local server through socket '" + path + "' (" + std::to_string(code) + ")";
  return SqlError{classify(CR_CONNECTION_ERROR, text, true), CR_CONNECTION_ERROR, text};
}
#endif

}  // namespace

SqlErrorKind classify(unsigned number, std::string_view text, bool connecting) {
  switch (number) {
    case CR_CONNECTION_ERROR:  // 2002, 2003
    case CR_CONN_HOST_ERROR: {
      const int code = errno_in(text);
      if (code == ECONNREFUSED) return SqlErrorKind::refused;
      return code == ENOENT && number == CR_CONNECTION_ERROR ? SqlErrorKind::missing : SqlErrorKind::unreachable;
    }
    case CR_UNKNOWN_HOST:
    case CR_SOCKET_CREATE_ERROR:
      return SqlErrorKind::unreachable;
    case CR_SERVER_GONE_ERROR:  // 2006
    case CR_SERVER_LOST:        // 2013
    case 2055:                  // CR_SERVER_LOST_EXTENDED
    case 1053:                  // ER_SERVER_SHUTDOWN
    case 1927:                  // MariaDB: ER_CONNECTION_KILLED
    case 3169:                  // MySQL: ER_SESSION_WAS_KILLED
    case 4031:                  // MySQL: disconnected because of inactivity
      return SqlErrorKind::lost;
    case CR_SSL_CONNECTION_ERROR:
      return SqlErrorKind::denied;
    case 1044:  // access or privilege denied, of whatever breadth
    case 1045:
    case 1142:
    case 1143:
    case 1227:
    case 1370:
    case 1698:
    case 3032:  // offline_mode
      return SqlErrorKind::denied;
    default:
      break;
  }
  if (connecting) return SqlErrorKind::denied;  // 1040, 1045, 1129, 1130, 1203, 1698, 2059, 2061, ...: it answered
  return number >= CR_MIN_ERROR && number <= CR_MAX_ERROR ? SqlErrorKind::lost : SqlErrorKind::server;
}

class Client::Impl {
 public:
  explicit Impl(int wake_fd) : wake_fd_(wake_fd) {
    start_library();
    mysql_init(&mysql_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    // A connection that is spent was shut down: the farewell goes nowhere and waits for nobody.
    if (result_) mysql_free_result(result_);
    mysql_close(&mysql_);
  }

  SqlResult<void> connect(const ConnectSettings& settings, Duration deadline);
  SqlResult<Rows> query(std::string_view sql, Duration deadline);

  MYSQL* mysql() { return &mysql_; }
  bool usable() const { return usable_; }
  int fd() const { return usable_ ? fd_ : -1; }

 private:
  void set_options(const ConnectSettings& settings);
  MYSQL* log_in(const ConnectSettings& settings);
  bool send(std::string_view sql);
  void store();
  Rows read_rows();
  int socket_now();
  short wait_once(short wanted, int library_ms);
  SqlError failure(bool connecting);
#ifdef RINGAGENT_ORACLE_CLIENT
  template <class Step>
  net_async_status drive(Step step);
#else
  template <class Continue>
  void drive(int status, Continue go_on);
#endif

  MYSQL mysql_{};
  MYSQL_RES* result_ = nullptr;
  int wake_fd_;
  int fd_ = -1;
  bool usable_ = false;
  bool tls_ = false;
  Clock::time_point deadline_{};
  const char* given_up_ = nullptr;  // why, once the deadline has passed or the wake came
};

int Client::Impl::socket_now() {
#ifdef RINGAGENT_ORACLE_CLIENT
  return static_cast<int>(mysql_.net.fd);
#else
  return static_cast<int>(mysql_get_socket(&mysql_));
#endif
}

// Waits for the socket; the events that came, 0 for the library's own time-out. Past the deadline, or woken,
// it cuts the connection and says so in `given_up_`: the library then fails by itself.
short Client::Impl::wait_once(short wanted, int library_ms) {
  const auto left = std::chrono::ceil<std::chrono::microseconds>(deadline_ - Clock::now());
  const bool library_first = library_ms >= 0 && std::chrono::milliseconds(library_ms) < left;
  const auto span = library_first ? std::chrono::microseconds(std::chrono::milliseconds(library_ms)) : left;
  pollfd fds[2] = {{socket_now(), wanted, 0}, {wake_fd_, POLLIN, 0}};
  timespec timeout{};
  if (span.count() > 0) {
    timeout.tv_sec = static_cast<time_t>(span.count() / 1'000'000);
    timeout.tv_nsec = static_cast<long>(span.count() % 1'000'000 * 1000);
  }
  const int ready = ppoll(fds, 2, &timeout, nullptr);
  if (ready > 0 && fds[1].revents != 0) given_up_ = kWoken;
  if (ready == 0 && !library_first) given_up_ = kPastDeadline;
  if (ready < 0 && errno == EINTR) return wait_once(wanted, library_ms);
  if (given_up_) {
    ::shutdown(fds[0].fd, SHUT_RDWR);
    return 0;
  }
  return fds[0].revents;
}

#ifdef RINGAGENT_ORACLE_CLIENT

template <class Step>
net_async_status Client::Impl::drive(Step step) {
  constexpr int kTick_ms = 5;  // the library does not say what it waits for: reads wake us, writes wait for the tick
  net_async_status status = step();
  for (int after_the_end = 0; status == NET_ASYNC_NOT_READY && after_the_end < 100; status = step()) {
    if (given_up_)
      ++after_the_end;
    else
      wait_once(POLLIN, kTick_ms);
  }
  return status;
}

MYSQL* Client::Impl::log_in(const ConnectSettings& settings) {
  const bool local = !settings.socket.empty();
  const auto status = drive([&] {
    return mysql_real_connect_nonblocking(&mysql_, local ? nullptr : settings.address.host.c_str(),
                                          settings.user.c_str(), settings.password.c_str(), nullptr,
                                          settings.address.port, local ? settings.socket.c_str() : nullptr, 0);
  });
  return status == NET_ASYNC_COMPLETE ? &mysql_ : nullptr;
}

bool Client::Impl::send(std::string_view sql) {
  return drive([&] { return mysql_real_query_nonblocking(&mysql_, sql.data(), sql.size()); }) == NET_ASYNC_COMPLETE;
}

void Client::Impl::store() {
  drive([&] { return mysql_store_result_nonblocking(&mysql_, &result_); });
}

#else

template <class Continue>
void Client::Impl::drive(int status, Continue go_on) {
  while (status != 0) {
    short wanted = 0;
    if (status & MYSQL_WAIT_READ) wanted = static_cast<short>(wanted | POLLIN);
    if (status & MYSQL_WAIT_WRITE) wanted = static_cast<short>(wanted | POLLOUT);
    if (status & MYSQL_WAIT_EXCEPT) wanted = static_cast<short>(wanted | POLLPRI);
    const int library_ms = status & MYSQL_WAIT_TIMEOUT ? static_cast<int>(mysql_get_timeout_value_ms(&mysql_)) : -1;
    const short came = given_up_ ? short{0} : wait_once(wanted, library_ms);
    int events = 0;
    if (came & (POLLIN | POLLHUP | POLLERR)) events |= MYSQL_WAIT_READ;
    if (came & (POLLOUT | POLLHUP | POLLERR)) events |= MYSQL_WAIT_WRITE;
    if (came & POLLPRI) events |= MYSQL_WAIT_EXCEPT;
    status = go_on(events == 0 ? MYSQL_WAIT_TIMEOUT : (events & status));
  }
}

MYSQL* Client::Impl::log_in(const ConnectSettings& settings) {
  const bool local = !settings.socket.empty();
  MYSQL* connected = nullptr;
  const int status = mysql_real_connect_start(&connected, &mysql_, local ? nullptr : settings.address.host.c_str(),
                                              settings.user.c_str(), settings.password.c_str(), nullptr,
                                              settings.address.port, local ? settings.socket.c_str() : nullptr, 0);
  drive(status, [&](int events) { return mysql_real_connect_cont(&connected, &mysql_, events); });
  return connected;
}

bool Client::Impl::send(std::string_view sql) {
  int failed = 0;
  const int status = mysql_real_query_start(&failed, &mysql_, sql.data(), sql.size());
  drive(status, [&](int events) { return mysql_real_query_cont(&failed, &mysql_, events); });
  return failed == 0;
}

void Client::Impl::store() {
  const int status = mysql_store_result_start(&result_, &mysql_);
  drive(status, [&](int events) { return mysql_store_result_cont(&result_, &mysql_, events); });
}

#endif

void Client::Impl::set_options(const ConnectSettings& settings) {
  const unsigned protocol = settings.socket.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_options(&mysql_, MYSQL_OPT_PROTOCOL, &protocol);
  mysql_options(&mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_options4(&mysql_, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "ringagent");
  if (settings.tls == TlsMode::verify_ca)
    mysql_ssl_set(&mysql_, nullptr, nullptr, settings.ca_file.c_str(), nullptr, nullptr);
#ifdef RINGAGENT_ORACLE_CLIENT
  const unsigned mode = settings.tls == TlsMode::off        ? SSL_MODE_DISABLED
                        : settings.tls == TlsMode::required ? SSL_MODE_REQUIRED
                                                            : SSL_MODE_VERIFY_CA;
  mysql_options(&mysql_, MYSQL_OPT_SSL_MODE, &mode);
  const bool fetch_key = settings.tls == TlsMode::off;
  mysql_options(&mysql_, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &fetch_key);
#else
  mysql_options(&mysql_, MYSQL_OPT_NONBLOCK, nullptr);
  const my_bool enforce = settings.tls != TlsMode::off;
  const my_bool verify_name = 0;  // a CA that is given is checked against all the same
  mysql_options(&mysql_, MYSQL_OPT_SSL_ENFORCE, &enforce);
  mysql_options(&mysql_, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify_name);
#endif
}

SqlError Client::Impl::failure(bool connecting) {
  SqlError error;
  error.number = mysql_errno(&mysql_);
  error.text = mysql_error(&mysql_);
  error.kind = classify(error.number, error.text, connecting);
  if (!given_up_ && Clock::now() >= deadline_) given_up_ = kPastDeadline;
  if (given_up_) {
    error.text = given_up_;
    error.kind = connecting ? SqlErrorKind::unreachable : SqlErrorKind::timeout;
  }
  // An error that ends the session, or leaves unread bytes behind, ends the connection.
  if (connecting || error.kind == SqlErrorKind::lost || error.kind == SqlErrorKind::timeout) {
    if (usable_) ::shutdown(fd_, SHUT_RDWR);
    usable_ = false;
  }
  return error;
}

SqlResult<void> Client::Impl::connect(const ConnectSettings& settings, Duration deadline) {
  deadline_ = Clock::now() + deadline;
#ifndef RINGAGENT_ORACLE_CLIENT
  if (!settings.socket.empty()) {
    if (auto error = why_not_connected(settings.socket)) return tl::unexpected<SqlError>(std::move(*error));
  }
#endif
  tls_ = settings.tls != TlsMode::off;
  set_options(settings);
  // Within a TLS handshake and the log-in after it Connector/C waits for this long at each read, for ever without it,
  // and does not ask us to wait.
  const auto whole =
      static_cast<unsigned>(std::max<std::int64_t>(1, std::chrono::ceil<std::chrono::seconds>(deadline).count()));
  mysql_options(&mysql_, MYSQL_OPT_CONNECT_TIMEOUT, &whole);
  if (!log_in(settings)) return tl::unexpected<SqlError>(failure(true));
  fd_ = socket_now();
  usable_ = true;
  // Connector/C goes on in clear text where the server has no TLS, unless it is to verify the host name, too.
  if (tls_ && mysql_get_ssl_cipher(&mysql_) == nullptr) {
    ::shutdown(fd_, SHUT_RDWR);
    usable_ = false;
    return tl::unexpected<SqlError>(
        SqlError{SqlErrorKind::denied, CR_SSL_CONNECTION_ERROR, "the server does not offer TLS"});
  }
  if (tls_) ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  if (auto ready = query(kSessionSetup, std::chrono::duration_cast<Duration>(deadline_ - Clock::now())); !ready)
    return tl::unexpected<SqlError>(std::move(ready.error()));
  return {};
}

Rows Client::Impl::read_rows() {
  Rows rows;
  const unsigned width = mysql_num_fields(result_);
  const MYSQL_FIELD* fields = mysql_fetch_fields(result_);
  for (unsigned i = 0; i < width; ++i) rows.columns.emplace_back(fields[i].name, fields[i].name_length);
  while (const MYSQL_ROW row = mysql_fetch_row(result_)) {
    const unsigned long* lengths = mysql_fetch_lengths(result_);
    auto& values = rows.rows.emplace_back(width);
    for (unsigned i = 0; i < width; ++i)
      if (row[i]) values[i].emplace(row[i], lengths[i]);
  }
  mysql_free_result(result_);
  result_ = nullptr;
  return rows;
}

SqlResult<Rows> Client::Impl::query(std::string_view sql, Duration deadline) {
  if (!usable_)
    return tl::unexpected<SqlError>(SqlError{SqlErrorKind::lost, CR_SERVER_LOST, "the connection is closed"});
  deadline_ = Clock::now() + deadline;
  if (!send(sql)) return tl::unexpected<SqlError>(failure(false));
  if (mysql_field_count(&mysql_) == 0) return Rows{};
  store();
  if (!result_) return tl::unexpected<SqlError>(failure(false));
  return read_rows();
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

SqlResult<Client> Client::connect(const ConnectSettings& settings, Duration deadline, int wake_fd) {
  auto impl = std::make_unique<Impl>(wake_fd);
  if (auto connected = impl->connect(settings, deadline); !connected)
    return tl::unexpected<SqlError>(std::move(connected.error()));
  return Client(std::move(impl));
}

SqlResult<Rows> Client::query(std::string_view sql, Duration deadline) {
  return impl_->query(sql, deadline);
}

bool Client::usable() const {
  return impl_->usable();
}

bool Client::stale() const {
  char byte = 0;
  // Nothing may arrive on an idle session but its end (or a last error packet before it).
  const ssize_t got = ::recv(impl_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::string Client::server_version() const {
  return mysql_get_server_info(impl_->mysql());
}

std::uint64_t Client::connection_id() const {
  return mysql_thread_id(impl_->mysql());
}

int Client::fd() const {
  return impl_->fd();
}

std::uint64_t Client::peer_pid() const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(impl_->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
  return peer.pid > 1 ? static_cast<std::uint64_t>(peer.pid) : 0;
}

void Client::leave_thread() {
  mysql_thread_end();
}

std::string Client::library() {
#ifdef RINGAGENT_ORACLE_CLIENT
  return std::string("libmysqlclient ") + mysql_get_client_info();
#else
  return std::string("MariaDB Connector/C ") + MARIADB_PACKAGE_VERSION;
#endif
}

}  // namespace ringagent
