"""Where pyspf 2.0.14 differs from our reading of RFC 7208: each kind of difference, as a correction of pyspf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Correction(NamedTuple):
    section: str  # of RFC 7208, unless it says otherwise
    why: str
    difference: str  # lines that stand in pyspf exactly once (-), and those that are to stand there (+)

    @property
    def edits(self) -> Iterator[tuple[str, str]]:
        for block in filter(None, self.difference.split("\n\n")):
            lines = block.strip("\n").split("\n")
            old, new = ("".join(f"\n{line[1:]}" for line in lines if line[0] == sign) for sign in "-+")
            yield f"{old}\n", f"{new}\n"


CORRECTIONS = {
    "void-terms": Correction(
        "4.6.4",
        "void lookups limit the terms that come back empty; pyspf counts every empty answer, the first TXT too",
        """
-        if not result and not ignore_void:
+        if on('void-terms'):
+            ignore_void = ignore_void or not self.may_be_void
+            self.may_be_void = self.may_be_void and bool(result)
+        if not result and not ignore_void:

-        self.cache = {}
+        self.cache = {}
+        self.spent = self.may_be_void = self.reading = False

-        self.lookups = self.lookups + 1
+        if self.spent:
+            self.spent = False
+            return
+        self.may_be_void = True
+        self.lookups = self.lookups + 1
""",
    ),
    "when-reached": Correction(
        "4.6.2, 6.1, 6.2",
        "a term costs and asks when it is evaluated; pyspf counts redirect, expands %{p} and fetches exp= beforehand",
        """
-        redirect = None
+        redirect = None
+        self.reading = True

-                    self.getp()
+                    self.p = self.p or 'x' if self.reading and on('when-reached') else self.getp()

-                self.check_lookups()
-                redirect = self.expand_domain(arg)
+                if not on('when-reached'): self.check_lookups()
+                redirect = self.expand_domain(arg)
+                if on('when-reached'): redirect = arg

-                redirect_record = self.dns_spf(redirect)
+                if on('when-reached'):
+                    self.check_lookups()
+                    redirect = self.expand(redirect)
+                redirect_record = self.dns_spf(redirect)

-        if spec:
+        if spec and not on('when-reached'):

-        for mech, m, arg, cidrlength, result in mechs:
+        self.reading = False
+        for mech, m, arg, cidrlength, result in mechs:
+            if on('when-reached') and m in ('a', 'mx', 'ptr', 'exists', 'include'):
+                self.check_lookups()
+                self.spent = True
+                arg = self.target(mech, arg)
""",
    ),
    "names-in-any-case": Correction(
        "4.6.1",
        "names of modifiers are case-insensitive; to pyspf, Redirect= is an unknown modifier",
        """
-            mod,arg = m
+            mod,arg = m
+            if on('names-in-any-case'): mod = mod.lower()
""",
    ),
    "unknown-may-repeat": Correction(
        "6",
        "only redirect= and exp= must not stand twice; pyspf forbids it to every modifier",
        """
-            if mod in modifiers:
+            if mod in modifiers and (mod in ('redirect', 'exp') or not on('unknown-may-repeat')):
""",
    ),
    "unknown-modifier-syntax": Correction(
        "6, 7.1",
        "the value of any unknown modifier is a macro-string; pyspf does not read those of default= and op=",
        """
-            elif mod == 'default':
+            elif mod in ('default', 'op') and on('unknown-modifier-syntax'):
+                self.expand(m[1])
+            elif mod == 'default':
""",
    ),
    "version-ends": Correction(
        "4.5, 12",
        "the version ends at a space or with the record; to pyspf, a line feed behind it is the end too",
        r"""
-        a = [t for t in self.dns_txt(domain) if RE_SPF.match(t)]
+        a = [t for t in self.dns_txt(domain) if RE_SPF.match(t)
+            and not (on('version-ends') and t[6:] == b'\n')]
""",
    ),
    "visible-characters": Correction(
        "7.1, 12",
        "a term is of visible ASCII characters; pyspf takes controls too, and a line feed at the end of a number",
        """
-        exps = self.exps
-        redirect = None
+        exps = self.exps
+        if on('visible-characters') and not re.fullmatch('[!-~]*', ''.join(spf)):
+            raise PermError('characters')
+        redirect = None
""",
    ),
    "macro-syntax": Correction(
        "7.1, 7.3",
        "no syntax error to pyspf: an unclosed brace, a strange delimiter, zero parts; but one to it: %% at the end",
        """
-        # Check for invalid macro syntax
+        if on('macro-syntax') and (not MACROS.fullmatch(s) or ZERO.search(s)):
+            raise PermError('macro')
+        # Check for invalid macro syntax

-                if regex.search(s):
+                if regex.search(s) and not on('macro-syntax'):
""",
    ),
    "reverse-in-any-case": Correction(
        "7.1; RFC 5234 section 2.3",
        "the r of a macro may be a capital, as any literal of the grammar; pyspf passes over it",
        """
-    ln, reverse, delimiters = RE_ARGS.split(str)[1:4]
+    ln, reverse, delimiters = RE_ARGS.split(str.lower() if on('reverse-in-any-case') else str)[1:4]
""",
    ),
    "rejoined-with-dots": Correction(
        "7.3",
        "split parts are rejoined with dots whatever split them; pyspf does so for l and s only",
        """
-                    e = expand_one(expansion, macro[3:-1], JOINERS.get(letter))
+                    e = expand_one(expansion, macro[3:-1], '.' if on('rejoined-with-dots') else JOINERS.get(letter))
""",
    ),
    "cut-to-253": Correction(
        "7.3",
        "of a name that is too long, labels are taken off until it fits; pyspf takes off one",
        """
-            if len(result) > 253:
+            while on('cut-to-253') and len(result) > 253 and '.' in result:
+                result = result.partition('.')[2]
+            if len(result) > 253 and '.' in result:
""",
    ),
    "implicit-domain": Correction(
        "4.8",
        "without a domain-spec the target is the domain as it is; pyspf expands it, and wants a top label",
        """
-            arg = self.expand_domain(arg)
-            if not arg:
+            spec = arg
+            if not on('implicit-domain') or ':' in mech: arg = self.expand_domain(arg)
+            if not arg and not (spec and on('empty-target')):

-                    raise PermError('include mechanism missing domain', mech)
-            return mech, m, arg, cidrlength, result
+                    raise PermError('include mechanism missing domain', mech)
+            return mech, m, spec if on('when-reached') else arg, cidrlength, result
""",
    ),
    "empty-target": Correction(
        "4.8",
        "leaves it open what a name is that expands to nothing: here no match, in pyspf a permerror",
        """
-            raise Exception('Invalid query')
+            if on('empty-target'): return []
+            raise Exception('Invalid query')
""",
    ),
    "include-of-itself": Correction(
        "4.6.4, 5.2",
        "an include of the same name is no syntax error: it ends by the limit of lookups, if it is reached",
        """
-                if arg == self.d:
+                if arg == self.d and not (on('include-of-itself') and ':' in mech):
""",
    ),
    "multi-label-domain": Correction(
        "4.3",
        "what is no multi-label domain name has no policy: none without a question; pyspf asks",
        """
-        # Per RFC 4.3/1, check for malformed domain.  This produces
+        if on('multi-label-domain') and not DOMAIN.fullmatch(domain.rpartition('.')[2]
+            if '.' in domain else '-'): return None
+        # Per RFC 4.3/1, check for malformed domain.  This produces
""",
    ),
    "root-dot": Correction(
        "4.3",
        "a zero-length label at the end is no fault; pyspf finds no policy for a domain with a final dot",
        """
-        self.d = self.o
+        self.d = self.o
+        if on('root-dot') and self.d.endswith('.'): self.d = self.d[:-1]
""",
    ),
    "postmaster": Correction(
        "4.3",
        "without a local part the sender is postmaster@domain in %{s} too, not in %{l} only",
        """
-        self.l, self.o = split_email(s, h)
+        self.l, self.o = split_email(s, h)
+        if on('postmaster') and self.s.startswith('@'): self.s = 'postmaster' + self.s
""",
    ),
    "last-at-sign": Correction(
        "4.3; RFC 5321 section 4.1.2",
        "a quoted local part may hold an @, a domain never does: the last one divides; pyspf takes the first",
        """
-        self.t = str(int(time.time()))
+        if on('last-at-sign') and '@' in s: self.l, self.o = s.rpartition('@')[::2]
+        self.l = self.l or 'postmaster'
+        self.t = str(int(time.time()))
""",
    ),
    "mx-in-order": Correction(
        "5.4",
        "the mechanism matches with the first host that does; pyspf looks up all of them first",
        """
-        return [a for mx in mxnames[:max] for a in self.dns_a(mx[1],self.A)]
+        found = (a for mx in mxnames[:max] for a in self.dns_a(mx[1],self.A))
+        return found if on('mx-in-order') else list(found)

-                if self.cidrmatch(self.dns_mx(arg), cidrlength):
+                if any(self.cidrmatch([ip], cidrlength) for ip in self.dns_mx(arg)):
""",
    ),
    "ptr-errors": Correction(
        "5.5",
        "a DNS error at a PTR is no match, at an address skips the name; in pyspf both are temperror",
        """
-    def dns_ptr(self, i):
+    def pointers(self):
+        try:
+            return self.dns_ptr(self.i)[:MAX_PTR]
+        except TempError:
+            if not on('ptr-errors'): raise
+            return []
+    def leads_back(self, name):
+        try:
+            return self.cidrmatch(self.dns_a(name, self.A), self.cidrmax)
+        except TempError:
+            if not on('ptr-errors'): raise
+            return False
+    def target(self, mech, spec):
+        return spec if on('implicit-domain') and ':' not in mech else self.expand(spec)
+    def dns_ptr(self, i):

-        return [p for p in self.dns_ptr(self.i)[:max]
-            if self.cidrmatch(self.dns_a(p,self.A),cidrlength)]
+        return [p for p in self.pointers() if self.leads_back(p)]
""",
    ),
    "ptr-inside-only": Correction(
        "5.5",
        "a name outside the target cannot match, nor can any if the target is impossible: nothing is asked about it",
        """
-                if domainmatch(self.validated_ptrs(), arg):
+                if on('ptr-inside-only'):
+                    if all(0 < len(label) < 64 for label in arg.split('.')) and any(
+                        self.leads_back(p) for p in self.pointers() if domainmatch([p], arg)): break
+                elif domainmatch(self.validated_ptrs(), arg):
""",
    ),
    "macro-p": Correction(
        "7.3",
        "p is the name that suits the domain under test; pyspf keeps the first domain's, and asks about all names",
        """
-        if not self.p:
+        if on('macro-p'):
+            home = self.d.lower()
+            names = sorted(self.pointers(), key=lambda n: (n != home, not domainmatch([n], home)))
+            self.p = next((name for name in names if self.leads_back(name)), 'unknown')
+        elif not self.p:
""",
    ),
    "answers-once": Correction(
        "4.5; RFC 2181 section 5",
        "a set of records has no duplicates; pyspf keeps one twice that comes again behind another alias",
        """
-                    self.cache.setdefault(k, []).append(v)
+                    if not (on('answers-once') and v in self.cache.get(k, [])):
+                        self.cache.setdefault(k, []).append(v)
""",
    ),
}
