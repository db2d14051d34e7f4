using System;
using System.Globalization;
using System.Linq;

namespace Parcels.Cli
{
    public static class Program
    {
        private const string Usage = "usage: parcels WEIGHT LENGTH WIDTH HEIGHT domestic|neighbour|world";

        public static int Main(string[] args)
        {
            if (args.Length != 5 || !Enum.TryParse<Zone>(args[4], ignoreCase: true, out var zone))
            {
                Console.Error.WriteLine(Usage);
                return 2;
            }

            try
            {
                var numbers = args.Take(4).Select(text => decimal.Parse(text, CultureInfo.InvariantCulture)).ToArray();
                var parcel = new Parcel(numbers[0], numbers[1], numbers[2], numbers[3]);
                Console.WriteLine(new Tariff().Price(parcel, zone).ToString("0.00", CultureInfo.InvariantCulture));
                return 0;
            }
            catch (Exception error) when (error is FormatException || error is ArgumentException)
            {
                Console.Error.WriteLine(error.Message);
                return 1;
            }
        }
    }
}
