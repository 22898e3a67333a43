# What a package holds and how it is made; scripts/package is the way in. Man pages, changelog and everything else that is
# generated come from the target `dist`.
find_package(Python3 COMPONENTS Interpreter)

set(dist ${CMAKE_SOURCE_DIR}/config/dist)
set(generated ${CMAKE_BINARY_DIR}/dist)
add_custom_target(dist
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/man --program $<TARGET_FILE:ringagent> --version ${RINGAGENT_VERSION} --out ${generated}
  DEPENDS ringagent VERBATIM)

# ---- files. Modes are written down: a builder's umask must not decide them.
set(readable OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
set(directories ${readable} OWNER_EXECUTE GROUP_EXECUTE WORLD_EXECUTE)
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${directories})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS ${directories})
install(TARGETS ringagent DESTINATION /usr/bin PERMISSIONS ${directories})
install(FILES ${dist}/ringagent.toml DESTINATION /etc/ringagent PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
install(FILES ${dist}/ringagent.service ${dist}/ringagent@.service DESTINATION /usr/lib/systemd/system PERMISSIONS ${readable})
install(FILES ${dist}/ringagent.sysusers DESTINATION /usr/lib/sysusers.d RENAME ringagent.conf PERMISSIONS ${readable})
install(FILES ${dist}/ringagent.tmpfiles DESTINATION /usr/lib/tmpfiles.d RENAME ringagent.conf PERMISSIONS ${readable})
install(FILES ${dist}/ringagent.bash DESTINATION /usr/share/bash-completion/completions RENAME ringagent PERMISSIONS ${readable})
install(FILES ${generated}/ringagent.1.gz DESTINATION /usr/share/man/man1 PERMISSIONS ${readable})
install(FILES ${generated}/ringagent.toml.5.gz DESTINATION /usr/share/man/man5 PERMISSIONS ${readable})
install(FILES ${dist}/deb/copyright ${generated}/changelog.gz ${generated}/changelog.Debian.gz DESTINATION /usr/share/doc/ringagent
  PERMISSIONS ${readable})
install(FILES ${dist}/haproxy.cfg ${dist}/prometheus.yml ${dist}/ringagent.rules.yml ${dist}/grafana-dashboard.json
  DESTINATION /usr/share/doc/ringagent/examples PERMISSIONS ${readable})
install(FILES ${dist}/deb/lintian-overrides DESTINATION /usr/share/lintian/overrides RENAME ringagent PERMISSIONS ${readable})

# ---- both kinds
set(CPACK_PACKAGE_NAME ringagent)
set(CPACK_PACKAGE_VERSION ${RINGAGENT_VERSION})
set(CPACK_PACKAGE_VENDOR RingAgent)
set(CPACK_PACKAGE_CONTACT "The RingAgent authors <maintainers@ringagent.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "agent that keeps a MySQL or MariaDB replication ring whole")
set(CPACK_PACKAGING_INSTALL_PREFIX /)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${dist}/times.cmake)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(description
"Servers in a replication ring write everywhere, each replicating from the one
before it. When one dies, everything behind it stops receiving changes.

An agent beside each server gossips with the others, agrees with a majority of
them on the ring as it is now, and repoints its own server when its predecessor
drops out. What comes back is checked, catches up, and is spliced in again.
No replication error is skipped, and nothing that survives is lost.

The agent is not started before it was configured, and neither installing nor
removing it touches a database server.")

# ---- .deb
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd")  # systemd-sysusers and systemd-tmpfiles, in postinst; libraries are derived
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mariadb-server | mysql-server, mariadb-client | mysql-server-core")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "${description}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${dist}/deb/conffiles ${dist}/deb/postinst ${dist}/deb/prerm ${dist}/deb/postrm)

# ---- .rpm: libraries are derived by rpm's own generator
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
set(CPACK_RPM_PACKAGE_GROUP Applications/Databases)
set(CPACK_RPM_PACKAGE_DESCRIPTION "${description}")
set(CPACK_RPM_PACKAGE_REQUIRES_PRE /usr/bin/systemd-sysusers)
set(CPACK_RPM_PACKAGE_REQUIRES_POST /usr/bin/systemd-tmpfiles)
set(CPACK_RPM_PRE_INSTALL_SCRIPT_FILE ${dist}/rpm/pre)
set(CPACK_RPM_POST_INSTALL_SCRIPT_FILE ${dist}/rpm/post)
set(CPACK_RPM_PRE_UNINSTALL_SCRIPT_FILE ${dist}/rpm/preun)
set(CPACK_RPM_POST_UNINSTALL_SCRIPT_FILE ${dist}/rpm/postun)
set(CPACK_RPM_USER_FILELIST "%config(noreplace) %attr(0640,root,ringagent) /etc/ringagent/ringagent.toml")
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
  /etc /usr/share/bash-completion /usr/share/bash-completion/completions /usr/lib/systemd /usr/lib/systemd/system
  /usr/lib/sysusers.d /usr/lib/tmpfiles.d /usr/share/man /usr/share/man/man1 /usr/share/man/man5)
# The same bytes from the same sources: times from $SOURCE_DATE_EPOCH, no host name, no links into a debug package.
set(CPACK_RPM_SPEC_MORE_DEFINE
"%define _buildhost reproducible
%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1
%define source_date_epoch_from_changelog 0
%define _build_id_links none
%define _binary_payload w9.gzdio
%define __os_install_post %{nil}
%define debug_package %{nil}")

include(CPack)
