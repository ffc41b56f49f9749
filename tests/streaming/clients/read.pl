# Perl's own HTTP::Tiny.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;

$| = 1;
my ($url, $token) = @ARGV;
my $last;
while (1) {
    my $rest = '';
    my %fields;
    my %headers = (Authorization => "Bearer $token", Accept => 'text/event-stream');
    $headers{'Last-Event-ID'} = $last if defined $last;
    HTTP::Tiny->new(timeout => 30)->get($url, {
        headers => \%headers,
        data_callback => sub {
            $rest .= $_[0];
            while ($rest =~ s/^([^\r\n]*)\r\n//) {
                my ($name, $value) = split /: /, $1, 2;
                if (defined $name && length $name) { $fields{$name} = $value; next; }
                next unless defined $fields{data};
                $last = $fields{id} if defined $fields{id};
                utf8::decode($fields{data});
                print encode_json({ type => $fields{event}, id => $fields{id}, data => $fields{data} }), "\n";
                %fields = ();
            }
        },
    });
    select undef, undef, undef, 0.2;
}
