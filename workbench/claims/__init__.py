"""From kept runs to statements: tables and figures by arm."""
